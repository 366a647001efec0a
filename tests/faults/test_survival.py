"""Whatever is away, and however long: what runs goes on undisturbed, and what ended meanwhile is recorded rightly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from tests.faults.people import FOR_EVER, PATIENCE, Person, Witness, process_in, whole_log
from tests.servers.postgres import Postgres
from tests.servers.process import Server
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import Swift
from tests.support.cluster import SERVICES, Cluster, cluster
from tests.support.process import until

AS_WELL_AS_A_CLOCK_IS_LOOKED_AT = 3.0
"""Seconds by which what is recorded may differ from what was seen from outside, on a busy machine."""

PARTS = ("platform", "train-svc", "serving-svc", "gateway", "broker", "postgres", "s3")


@dataclass
class House:
    """A cluster with what it stands on, and somebody who works there."""

    running: Cluster
    servers: dict[str, Server]
    person: Person

    def take_away(self, part: str) -> Callable[[], None]:
        """kill -9 of a part; gives what brings it back."""
        if part in self.servers:
            self.servers[part].kill()
            return self.servers[part].start
        members = [self.running.member(one) for one in (SERVICES if part == "platform" else (part,))]
        for member in members:
            member.kill()

        def launch() -> None:
            for member in members:
                member.launch()

        return launch


@pytest.fixture(scope="module")
def house(
    engine: Path, rabbitmq: RabbitMQ, postgres: Postgres, swift: Swift, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    with (
        cluster(rabbitmq, postgres, swift, YARD_LOG_LEVEL="WARNING") as running,
        running.user("alice", patience=PATIENCE) as client,
    ):
        person = Person("alice", client, tmp_path_factory.mktemp("survival") / "alice", Random(1))
        servers: dict[str, Server] = {"broker": rabbitmq, "postgres": postgres, "s3": swift}
        yield House(running, servers, person)


@pytest.fixture(scope="module")
def witness(house: House) -> Witness:
    """A job without end and a replica; the same for all tests, which is how long they survive."""
    house.person.begin()
    witness = Witness(house.running, house.person)
    witness.begin()
    return witness


class Mortal:
    """A job that ends while a part is away, as it was told to; its process is looked at from outside."""

    def __init__(self, person: Person, name: str, then: str, seconds: float, pool: ThreadPoolExecutor) -> None:
        self.client = person.client
        self.lines = max(int(seconds * 10), 10)
        parameters = {"lines": self.lines, "seconds": seconds, "then": then}
        ids = {"dataset_id": person.dataset["id"], "algorithm_id": person.algorithm["id"]}
        self.id = self.client.jobs.create(name, **ids, parameters=parameters)["id"]
        self._pool = pool

    def begun(self) -> None:
        """Return when it works; from here on its end is waited for."""
        said = until(lambda: whole_log(self.client, self.id).partition("\n")[0], PATIENCE, pause=0.1)
        self.process = psutil.Process(process_in(said))
        self._ended: Future[float] = self._pool.submit(self._end)

    def _end(self) -> float:
        self.process.wait(PATIENCE)
        return time.time()

    def check(self, state: str, exit_code: int) -> None:
        """It ended as it did, when it did, once, and wrote what it wrote."""
        ended: Any = self.client.jobs.wait(self.id, timeout=PATIENCE)
        assert (ended["state"], ended["attempt"], ended["exit_code"]) == (state, 1, exit_code), ended
        [attempt] = self.client.jobs.attempts(self.id)
        told: Any = attempt
        recorded = datetime.fromisoformat(told["ended_at"]).timestamp()
        assert abs(recorded - self._ended.result(1)) < AS_WELL_AS_A_CLOCK_IS_LOOKED_AT, told
        _, *lines = whole_log(self.client, self.id).splitlines()
        assert lines[: self.lines] == [f"line {one} of {self.lines}" for one in range(1, self.lines + 1)]
        assert lines[self.lines :] == (["done"] if state == "succeeded" else [])


@pytest.mark.faults
@pytest.mark.row("P6")
@pytest.mark.parametrize("seconds", [0, 20, 60])
@pytest.mark.parametrize("part", PARTS)
def test_work_survives_and_what_ended_meanwhile_is_recorded_rightly(
    house: House, witness: Witness, part: str, seconds: int
) -> None:
    before = len("".join(witness.live).splitlines())
    with ThreadPoolExecutor(2) as pool:
        life = 2.0 + seconds / 3
        mortals = [Mortal(house.person, then, then, life, pool) for then in ("fail", "succeed")]
        for mortal in mortals:
            mortal.begun()
        bring_back = house.take_away(part)
        time.sleep(seconds)
        assert witness.trainer.is_running()
        assert witness.server.is_running()
        if seconds:
            assert not any(one.process.is_running() for one in mortals), "they end while it is away"
        bring_back()
        for member in house.running.everyone:
            member.wait_until_ready(90)
        mortals[0].check("failed", 3)
        mortals[1].check("succeeded", 0)
    witness.undisturbed()
    until(lambda: len("".join(witness.live).splitlines()) > before + seconds, PATIENCE)
    jobs = [one["id"] for one in house.person.client.jobs.each(state="succeeded")]
    models = list(house.person.client.models.each())
    assert len(models) == len(jobs), "a model for each that succeeded, and no second one"


@pytest.mark.faults
@pytest.mark.row("P6")
def test_of_what_ran_all_the_time_no_line_is_lost_or_doubled(house: House, witness: Witness) -> None:
    """After all of the above, in the order of this file."""
    lines = witness.end()
    assert 0 < lines < FOR_EVER
