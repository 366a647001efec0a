"""Who works while faults hit: people in rounds from a job to a service that answers, and one job and one replica that
are there all the time. All of them bear refusals as careful programs do, and each proves what it came to."""

from __future__ import annotations

import itertools
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support.algorithms import slow_algorithm
from tests.support.cluster import Cluster
from tests.support.data import images_zip
from tests.support.process import until
from yard import Client, YardError

USERS = 4
LINES = 20
PATIENCE = 150.0
"""Seconds for which a person goes on trying, and waits."""
PICTURES = 6
FOR_EVER, A_LINE_EVERY = 100_000, 0.1


@dataclass
class Person:
    """One of them, with a dataset and an algorithm of their own; `rounds` counts what was brought to its end."""

    name: str
    client: Client
    folder: Path
    dice: random.Random
    rounds: int = 0
    jobs: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Have something to train, and something to train it with."""
        self.folder.mkdir()
        self.archive = images_zip(self.folder / "pictures.zip", PICTURES)
        self.dataset = self.new_dataset()
        self.algorithm = slow_algorithm(self.client, self.folder, key=f"{self.name}'s algorithm")

    def new_dataset(self) -> Any:
        """One more, imported and online; nothing of it is there twice."""
        datasets, name = self.client.datasets, f"pictures {self.rounds}"
        made = datasets.create(name, purpose="image/classification", key=f"{self.name}'s {name}")
        ended = datasets.import_(made["id"], self.archive, timeout=PATIENCE)
        assert (ended["state"], ended["version_number"]) == ("succeeded", 1), ended
        return datasets.online(made["id"])

    def work(self, over: threading.Event) -> None:
        """Round after round, until it is over."""
        while not over.is_set():
            self.round()
            self.rounds += 1
            if self.rounds % 3 == 0:
                self.dataset = self.new_dataset()

    def round(self) -> None:
        """Train, publish, start a replica, call it, stop it and remove the service."""
        model = self.train(self.dice.uniform(1.0, 8.0))
        services, key = self.client.services, f"{self.name}'s service {self.rounds}"
        promised = self.client.models.publish(model, f"lines {self.rounds}", key=key)
        service = services.wait_for(promised["service_id"], timeout=PATIENCE)
        services.start(service["id"], 1)
        services.wait(service["id"], ready=1, timeout=PATIENCE)
        assert borne(lambda: services.call(service, {"text": "hello"}).json())["model"]["lines"] == LINES
        services.stop(service["id"])
        services.wait(service["id"], state="stopped", ready=0, timeout=PATIENCE)
        services.delete(service["id"])

    def train(self, seconds: float) -> str:
        """The model of a job that ran once, whose every line is in its log once."""
        jobs = self.client.jobs
        parameters = {"lines": LINES, "seconds": seconds}
        ids = {"dataset_id": self.dataset["id"], "algorithm_id": self.algorithm["id"]}
        job = jobs.create(f"job {self.rounds}", **ids, parameters=parameters, key=f"{self.name}'s job {self.rounds}")
        self.jobs.append(job["id"])
        ended = jobs.wait(job["id"], timeout=PATIENCE)
        assert (ended["state"], ended["attempt"], ended["reason"]) == ("succeeded", 1, "completed"), ended
        _, *lines, last = whole_log(self.client, job["id"]).splitlines()
        assert [*lines, last] == [*(f"line {one} of {LINES}" for one in range(1, LINES + 1)), "done"]
        return str(ended["model_id"])

    def check(self) -> None:
        """Of everything there is as much as was asked for."""
        assert sorted(one["id"] for one in self.client.jobs.each()) == sorted(self.jobs)
        assert len(list(self.client.models.each())) == len(self.jobs)
        assert list(self.client.services.each()) == []


def whole_log(client: Client, job: str) -> str:
    """A job's log from its first byte to its last."""
    text, offset = "", 0
    while (part := client.jobs.log(job, offset=offset))["text"]:
        text, offset = text + part["text"], part["next_offset"]
    return text


def borne(ask: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `ask` answers at last: a call of a service is sent once, so whoever calls asks again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except YardError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@dataclass
class Witness:
    """A job and a replica that must never be disturbed. Their processes are looked at from outside."""

    running: Cluster
    person: Person
    answers: int = 0
    refusals: int = 0
    live: list[str] = field(default_factory=list)
    """The job's log as it comes."""

    def begin(self) -> None:
        """Start both, for a person who has begun, and remember who they are."""
        model, client = self.person.train(0.1), self.person.client
        service = client.services.wait_for(client.models.publish(model, "witness")["service_id"], timeout=PATIENCE)
        client.services.start(service["id"], 1)
        self.service = client.services.wait(service["id"], ready=1, timeout=PATIENCE)
        self.replica = borne(self.call)["replica"]
        ids = {"dataset_id": self.person.dataset["id"], "algorithm_id": self.person.algorithm["id"]}
        endless = {"lines": FOR_EVER, "seconds": FOR_EVER * A_LINE_EVERY}
        self.job = client.jobs.create("endless", **ids, parameters=endless)["id"]
        self.following = ThreadPoolExecutor(1).submit(self._follow)
        first = until(lambda: "".join(self.live).partition("\n")[0] or self.following.done(), PATIENCE)
        self.trainer = psutil.Process(process_in(str(first)))
        self.server = process_of(self.running, self.replica)

    def _follow(self) -> None:
        """Follow it to its end; who follows gives up after a minute without an answer, and is then asked again."""
        heard = time.monotonic()
        while True:
            offset = len("".join(self.live).encode())
            try:
                for part in self.person.client.jobs.follow_log(self.job, offset=offset):
                    self.live.append(part)
                    heard = time.monotonic()
                return
            except YardError:  # lost, or refused by a gateway that was there first
                if time.monotonic() - heard > PATIENCE:
                    raise
                time.sleep(0.5)

    def call(self) -> Any:
        """Ask the replica."""
        return self.person.client.services.call(self.service, {"text": "hello"}).json()

    def keep_calling(self, over: threading.Event) -> None:
        """Call it all the time; it is the same one whenever it answers."""
        while not over.wait(0.3):
            try:
                assert self.call()["replica"] == self.replica
                self.answers += 1
            except YardError:
                self.refusals += 1

    def undisturbed(self) -> None:
        """Both are who they were."""
        assert self.trainer.is_running(), "the job was disturbed"
        assert self.server.is_running(), "the replica was disturbed"
        assert borne(self.call)["replica"] == self.replica

    def end(self) -> int:
        """Undisturbed to the end; gives how many lines the job wrote, each of which is told once."""
        self.undisturbed()
        jobs = self.person.client.jobs
        jobs.stop(self.job)
        ended = jobs.wait(self.job, timeout=PATIENCE)
        assert (ended["state"], ended["attempt"]) == ("stopped", 1), ended
        text = whole_log(self.person.client, self.job)
        first, *lines = text.splitlines()
        assert process_in(first) == self.trainer.pid
        assert lines == [f"line {one} of {FOR_EVER}" for one in range(1, len(lines) + 1)]
        self.following.result(PATIENCE)
        assert "".join(self.live) == text, "what came live is what was written"
        return len(lines)


def process_in(line: str) -> int:
    """The process that a job's first line names."""
    found = re.match(r"process (\d+) trains", line)
    assert found is not None, line
    return int(found[1])


def process_of(running: Cluster, replica: str) -> psutil.Process:
    """The process that serves as a replica, which says in its environment whose folder it works in."""
    for one in psutil.process_iter():
        try:
            if "serve.py" in " ".join(one.cmdline()) and f"/{replica}" in one.environ().get("YARD_WORKLOAD_DIR", ""):
                return one
        except psutil.Error:
            continue
    raise AssertionError(f"no process serves {replica}:\n{running.log_end()}")


@contextmanager
def people(running: Cluster, folder: Path, seed: int, users: int = USERS) -> Iterator[list[Person]]:
    """So many people, of whom the first is to be the witness's."""
    numbers = itertools.count()
    made = [
        Person(f"user{n}", running.user(f"user{n}", patience=PATIENCE), folder / str(n), random.Random(f"{seed} {n}"))
        for n in itertools.islice(numbers, users + 1)
    ]
    try:
        with ThreadPoolExecutor(users + 1) as pool:
            assert len(list(pool.map(Person.begin, made))) == users + 1
        yield made
    finally:
        for one in made:
            one.client.close()
