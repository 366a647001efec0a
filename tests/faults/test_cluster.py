"""kill -9 of services and of what they stand on, one after another, while four people work on six processes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from common.ports.bus import Subscription
from tests.faults.harness import Blow, Chaos, balance
from tests.servers.postgres import Postgres
from tests.servers.process import Server
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import Swift
from tests.support.algorithms import slow_algorithm
from tests.support.cluster import SERVICES, Cluster, Member, cluster
from tests.support.data import images_zip

USERS = 4
LINES, SECONDS = 20, 4.0
PATIENCE = 120.0
RESUMES_IN = 15.0
"""Seconds from the broker's return until the bus works again."""


@dataclass
class InTurn:
    """A victim that is another one with each kill: `parts` in their order."""

    whole: Cluster
    parts: list[tuple[str, Member | Server]]
    struck: list[str] = field(default_factory=list)
    resumed: dict[str, float] = field(default_factory=dict)
    """What was killed → the seconds from its return until everybody could work again."""

    def kill(self) -> None:
        """kill -9 of the next."""
        name, part = self.parts[len(self.struck)]
        self.struck.append(name)
        part.kill()

    def launch(self) -> None:
        """Begin to start it."""
        part = self.parts[len(self.struck) - 1][1]
        part.launch() if isinstance(part, Member) else part.start()

    def start(self) -> None:
        """Start it, and return when every service says that it can do its work, with no help."""
        self.launch()
        began = time.monotonic()
        for one in self.whole.everyone:
            one.wait_until_ready(60)
        self.resumed[self.struck[-1]] = time.monotonic() - began


def work(running: Cluster, number: int, folder: Path) -> Any:
    """What one person does, from pictures to a model; proves that it happened once and that no line is missing."""
    folder.mkdir()
    with running.user(f"user{number}", patience=PATIENCE) as client:
        made = client.datasets.create("pictures", purpose="image/classification", key="the dataset")
        client.datasets.import_(made["id"], images_zip(folder / "pictures.zip", 6), timeout=PATIENCE)
        client.datasets.online(made["id"])
        algorithm = slow_algorithm(client, folder, key="the algorithm")
        ids = {"dataset_id": made["id"], "algorithm_id": algorithm["id"]}
        job = client.jobs.create("lines", **ids, parameters={"lines": LINES, "seconds": SECONDS}, key="the job")
        ended = client.jobs.wait(job["id"], timeout=PATIENCE)
        assert (ended["state"], ended["attempt"], ended["reason"]) == ("succeeded", 1, "completed"), ended
        _, *lines, last = client.jobs.log(job["id"])["text"].splitlines()
        assert [*lines, last] == [*(f"line {one} of {LINES}" for one in range(1, LINES + 1)), "done"]
        [model] = client.models.each()
        assert [one["id"] for one in client.jobs.each()] == [job["id"]]
        assert model["id"] == ended["model_id"]
        return ended


def plan(seed: int, parts: list[tuple[str, Member | Server]], blows: int) -> list[tuple[str, Member | Server]]:
    """Whom that seed kills, in which order: the broker in each, and others of the house."""
    dice = random.Random(seed)
    broker = next(one for one in parts if one[0] == "broker")
    chosen = [broker, *dice.sample([one for one in parts if one is not broker], blows - 1)]
    dice.shuffle(chosen)
    return chosen


def survive(
    seed: int, running: Cluster, servers: dict[str, Server], listening: list[Subscription], folder: Path, blows: int
) -> str:
    """Four people work while the parts of that seed are killed; its figures in a line."""
    parts: list[tuple[str, Member | Server]] = [*((one, running.member(one)) for one in SERVICES), *servers.items()]
    victim = InTurn(running, plan(seed, parts, blows))
    dice = random.Random(seed)
    chaos = Chaos(victim, {"work": [Blow(dice.uniform(0.2, 2.0)) for _ in range(blows)]})
    with ThreadPoolExecutor(USERS) as pool, chaos.stage("work"):
        users = [pool.submit(work, running, number, folder / str(number)) for number in range(USERS)]
        jobs = [one.result(PATIENCE * 2) for one in users]
    assert len({job["id"] for job in jobs}) == USERS
    assert running.rows("train-svc", "SELECT count(*) FROM jobs") == [(USERS,)]
    assert running.rows("train-svc", "SELECT count(*) FROM models") == [(USERS,)]
    ledger = balance(running, listening, 60.0)
    slow = {name: round(took, 1) for name, took in victim.resumed.items()}
    assert victim.resumed.get("broker", 0.0) < RESUMES_IN, slow
    return f"seed {seed}: killed (s until all were ready) {slow}, {ledger.told} events told, {ledger.effects} effects"


def told(capsys: pytest.CaptureFixture[str], run: Callable[[], str]) -> None:
    """Print its figures past pytest."""
    line = run()
    with capsys.disabled():
        print(f"\n{line}, each once")


@pytest.mark.row("P6")
@pytest.mark.parametrize("seed", [1])
def test_work_survives_its_parts(
    seed: int,
    engine: Path,
    listening: list[Subscription],
    rabbitmq: RabbitMQ,
    postgres: Postgres,
    swift: Swift,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    servers = {"broker": rabbitmq, "postgres": postgres, "s3": swift}
    with cluster(rabbitmq, postgres, swift) as running:
        told(capsys, lambda: survive(seed, running, servers, listening, tmp_path, blows=3))


@pytest.mark.faults
@pytest.mark.row("P6")
@pytest.mark.parametrize("seed", range(300, 400))
def test_work_survives_its_parts_a_hundred_times(
    seed: int,
    engine: Path,
    listening: list[Subscription],
    rabbitmq: RabbitMQ,
    postgres: Postgres,
    swift: Swift,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    servers = {"broker": rabbitmq, "postgres": postgres, "s3": swift}
    with cluster(rabbitmq, postgres, swift) as running:
        told(capsys, lambda: survive(seed, running, servers, listening, tmp_path, blows=3))
