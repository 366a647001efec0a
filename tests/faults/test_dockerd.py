"""dockerd is killed, or falls silent, under a platform of six processes whose work runs in containers."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.faults.people import FOR_EVER, PATIENCE, Person, borne, whole_log
from tests.servers.docker import Docker
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import Swift
from tests.support import containers
from tests.support.cluster import Cluster, cluster
from tests.support.process import until

LIFE = 3.0
ENDS = "train-svc", "serving-svc"
"""Those that run workloads."""


@dataclass
class Harbour:
    """A cluster on Docker, somebody who works there, and what of it runs all the time: a job and a replica."""

    running: Cluster
    docker: Docker
    person: Person
    job: str = ""

    def begin(self) -> None:
        """Start both."""
        client, person = self.person.client, self.person
        person.begin()
        published = client.models.publish(person.train(0.1), "witness")["service_id"]
        service = client.services.wait_for(published, timeout=PATIENCE)
        client.services.start(service["id"], 1)
        self.service = client.services.wait(service["id"], ready=1, timeout=PATIENCE)
        self.job = self.new_job(FOR_EVER, FOR_EVER / 10)
        self.begun(self.job)
        self.replica = borne(self.call)

    def new_job(self, lines: int, seconds: float, then: str = "succeed") -> str:
        """A job of the person's; its id."""
        ids = {"dataset_id": self.person.dataset["id"], "algorithm_id": self.person.algorithm["id"]}
        parameters = {"lines": lines, "seconds": seconds, "then": then}
        return str(self.person.client.jobs.create("containers", **ids, parameters=parameters)["id"])

    def begun(self, job: str) -> None:
        """Return when it has written its first line."""
        until(lambda: "line 1 " in whole_log(self.person.client, job), PATIENCE, self.running.log_end, pause=0.2)

    def call(self) -> str:
        """Which replica answers."""
        return str(self.person.client.services.call(self.service, {"text": "hello"}).json()["replica"])

    def alive(self) -> dict[str, tuple[int, str]]:
        """Each running container with its first process, and when it was started."""
        states = [json.loads(self.docker.run_client("inspect", one))[0] for one in self.docker.containers()]
        return {
            one["Id"]: (one["State"]["Pid"], one["State"]["StartedAt"]) for one in states if one["State"]["Running"]
        }


@pytest.fixture(scope="module")
def harbour(
    engine: Path,
    rabbitmq: RabbitMQ,
    postgres: Postgres,
    swift: Swift,
    docker: Docker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Harbour]:
    containers.ensure_engine(docker)
    url = containers.runtime_url(docker)
    with cluster(rabbitmq, postgres, swift, YARD_RUNTIME_URL=url, YARD_LOG_LEVEL="WARNING") as running:
        try:
            with running.user("alice", patience=PATIENCE) as client:
                folder = tmp_path_factory.mktemp("dockerd") / "alice"
                harbour = Harbour(running, docker, Person("alice", client, folder, Random(1)))
                harbour.begin()
                yield harbour
        finally:
            for member in running.everyone:
                member.stop()
            asyncio.run(containers.clear(running.home, docker, url))


@pytest.mark.faults
@pytest.mark.row("P6", "T14")
@pytest.mark.parametrize("seconds", [0, 20, 60])
def test_containers_survive_a_dockerd_that_is_killed_and_what_ended_is_recorded(harbour: Harbour, seconds: int) -> None:
    client, docker = harbour.person.client, harbour.docker
    before = harbour.alive()
    mortal = harbour.new_job(30, LIFE, "fail")
    harbour.begun(mortal)
    began = time.time()
    docker.kill()
    time.sleep(seconds)
    if seconds:
        assert harbour.call() == harbour.replica, "a replica is reached past dockerd"
        assert client.jobs.show(harbour.job)["state"] == "running"
    docker.start()
    ended = client.jobs.wait(mortal, timeout=PATIENCE)
    assert (ended["state"], ended["attempt"]) == ("failed", 1)
    [attempt] = client.jobs.attempts(mortal)
    assert attempt["exit_code"] == 3
    log = whole_log(client, mortal)
    assert [f"line {n} of 30" for n in range(1, 31)] == log.splitlines()[1:]
    for service in ENDS:
        harbour.running.member(service).wait_until_ready(60)
    assert before.items() <= harbour.alive().items(), "the same containers, started once"
    assert borne(harbour.call) == harbour.replica
    assert time.time() - began < seconds + PATIENCE


@pytest.mark.faults
@pytest.mark.row("P6")
def test_a_dockerd_that_is_silent_is_named_and_holds_nobody_up(harbour: Harbour) -> None:
    client, docker = harbour.person.client, harbour.docker
    train = harbour.running.member("train-svc")
    docker.send(signal.SIGSTOP)
    try:
        until(lambda: '"runtime":"' in train.ask("/readyz")[1], 30, harbour.running.log_end, pause=0.2)
        began = time.monotonic()
        assert client.jobs.show(harbour.job)["state"] == "running"
        waiting = harbour.new_job(3, 0.1)
        assert time.monotonic() - began < 5
    finally:
        docker.send(signal.SIGCONT)
    assert client.jobs.wait(waiting, timeout=PATIENCE)["state"] == "succeeded"
    train.wait_until_ready(60)


@pytest.mark.faults
@pytest.mark.row("P6")
def test_of_what_ran_in_a_container_all_the_time_no_line_is_lost_or_doubled(harbour: Harbour) -> None:
    """After all of the above, in the order of this file."""
    client = harbour.person.client
    client.jobs.stop(harbour.job)
    ended = client.jobs.wait(harbour.job, timeout=PATIENCE)
    assert (ended["state"], ended["attempt"]) == ("stopped", 1)
    _, *lines = whole_log(client, harbour.job).splitlines()
    assert lines == [f"line {n} of {FOR_EVER}" for n in range(1, len(lines) + 1)]
