"""Every kind of fault on one cluster, one after another, while four people work on six processes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from common.ports.bus import Subscription
from tests.faults.blows import Ground, give_clocks, plan
from tests.faults.people import Witness, people
from tests.faults.storm import RECOVERS_IN, RESUMES_IN, Storm, printed
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import Swift
from tests.support.cluster import Ports, cluster
from tests.support.passage import passage

FEW = ("kill relay mid-batch", "kill broker", "kill postgres", "kill s3", "black hole to database", "clock +1 h")
"""One of each in every run of the tests; all kinds, and a hundred, in the long one."""


def weather(
    seed: int,
    kinds: Sequence[str],
    servers: tuple[RabbitMQ, Postgres, Swift],
    listening: list[Subscription],
    folder: Path,
    longest: float,
    resumes_in: float = RESUMES_IN,
) -> str:
    """The storm of that seed, and its ledger."""
    broker, postgres, s3 = servers
    with ExitStack() as stack:
        ways = {
            name: stack.enter_context(passage(server.port))
            for name, server in (("database", postgres), ("broker", broker), ("files", s3))
        }
        through = Ports(*(way.port for way in ways.values()))
        running = stack.enter_context(cluster(*servers, through=through, start=False, YARD_LOG_LEVEL="WARNING"))
        give_clocks(running)
        running.start()
        first, *others = stack.enter_context(people(running, folder, seed))
        witness = Witness(running, first)
        witness.begin()
        teller = stack.enter_context(running.user(first.name, patience=90.0))
        ground = Ground(running, broker, postgres, s3, ways, random.Random(seed), teller, first.dataset["id"], longest)
        storm = Storm(ground, others, witness, resumes_in)
        lines, rounds = storm.run(kinds)
        ledger = storm.books(listening)
        storm.count_published_twice()
    assert storm.sent_again or "kill relay mid-batch" not in kinds, "no relay was hit between publishing and marking"
    return (
        printed(storm.struck, f"seed {seed}: {len(kinds)} faults")
        + f"{ledger.told} events told, 0 lost; {ledger.effects} effects, 0 doubled, although {storm.sent_again}"
        " events were published more than once.\n"
        f"{rounds} rounds of four people, each job once and whole; one job of {lines} lines and one replica"
        f" undisturbed, called {witness.answers} times and {witness.refusals} times in vain.\n"
    )


@pytest.mark.row("P6")
def test_work_goes_on_in_a_storm(
    engine: Path,
    listening: list[Subscription],
    rabbitmq: RabbitMQ,
    postgres: Postgres,
    swift: Swift,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kinds = plan(1, len(FEW), FEW)
    said = weather(1, kinds, (rabbitmq, postgres, swift), listening, tmp_path, 4.0, RECOVERS_IN)
    with capsys.disabled():
        print(f"\n{said}")


@pytest.mark.faults
@pytest.mark.row("P6")
@pytest.mark.parametrize("seed", [100])
def test_a_hundred_faults_lose_nothing_and_double_nothing(
    seed: int,
    engine: Path,
    listening: list[Subscription],
    rabbitmq: RabbitMQ,
    postgres: Postgres,
    swift: Swift,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = weather(seed, plan(seed, 100), (rabbitmq, postgres, swift), listening, tmp_path, longest=20.0)
    with capsys.disabled():
        print(f"\n{said}")
