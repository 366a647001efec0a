"""A dependency that swallows everything without a word: readiness says so, and requests fail instead of hanging."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.steps import online_images
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import Rclone
from tests.support.cluster import Cluster, Ports, cluster
from tests.support.passage import Passage, passage
from tests.support.process import until
from yard import Client, YardError

LONGEST = 60.0
"""Seconds that a request may take which was under way when its dependency fell silent."""
AT_ONCE = 1.5
"""Seconds for one that comes later: less than any dependency is waited for."""
TRIES = 8
"""On a machine that is busy with something else one may take longer, but not each."""


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Iterator[Passage]:
    with passage(postgres.port) as way:
        yield way


@pytest.fixture(scope="module")
def files(rclone: Rclone) -> Iterator[Passage]:
    with passage(rclone.port) as way:
        yield way


@pytest.fixture(scope="module")
def bus(rabbitmq: RabbitMQ) -> Iterator[Passage]:
    with passage(rabbitmq.port) as way:
        yield way


@pytest.fixture(scope="module")
def two(
    rabbitmq: RabbitMQ, postgres: Postgres, rclone: Rclone, database: Passage, files: Passage, bus: Passage
) -> Iterator[Cluster]:
    through = Ports(database.port, bus.port, files.port)
    with cluster(rabbitmq, postgres, rclone, "dataset-svc", "gateway", through=through) as running:
        yield running


@pytest.fixture(scope="module")
def dataset(two: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with two.admin() as client:
        return online_images(client, Path(tmp_path_factory.mktemp("data")))


@pytest.fixture
def client(two: Cluster) -> Iterator[Client]:
    with two.admin(patience=0.0) as one:
        yield one


def timed(do: Callable[[], Any]) -> tuple[int, str, float]:
    """Status and code of what was answered (200 and nothing where all is well), and after how many seconds."""
    began = time.monotonic()
    try:
        do()
    except YardError as error:
        return error.status or 0, error.code, time.monotonic() - began
    return 200, "", time.monotonic() - began


def at_once(do: Callable[[], Any]) -> tuple[int, str]:
    """Status and code of what is answered without waiting for anything, twice."""
    quick = []
    for _ in range(TRIES):
        status, code, seconds = timed(do)
        quick += [(status, code)] if seconds < AT_ONCE else []
        if len(quick) == 2:
            return quick[1]
    raise AssertionError(f"at most one of {TRIES} tries took less than {AT_ONCE} s, the last {seconds:g} s")


def says(two: Cluster, service: str, what: str) -> None:
    """Its readiness names what is missing."""
    member = two.member(service)
    told = until(lambda: member.ask("/readyz")[1] if member.ask("/readyz")[0] == 503 else None, 120, two.log_end)
    assert f'"{what}":"' in told
    assert "does not answer" in told
    assert two.member(service).ask("/healthz")[0] == 200


def heals(two: Cluster, passage: Passage, do: Callable[[], Any]) -> None:
    passage.heal()
    until(lambda: timed(do)[0] == 200, 120, two.log_end, pause=0.1)
    for one in two.everyone:
        one.wait_until_ready()


@pytest.mark.row("P6")
def test_a_database_that_is_silent(two: Cluster, database: Passage, client: Client, dataset: Any) -> None:
    show = lambda: client.datasets.show(dataset["id"])  # noqa: E731
    until(lambda: timed(show)[0] == 200, 120, two.log_end)
    database.black_hole()
    with ThreadPoolExecutor(4) as many:
        under_way = [many.submit(timed, show) for _ in range(4)]
        says(two, "dataset-svc", "database")
        says(two, "gateway", "database")
        for status, code, seconds in [one.result() for one in under_way]:
            assert (status, code) == (503, "database_unavailable")
            assert seconds < LONGEST
    assert at_once(show) == (503, "database_unavailable")
    heals(two, database, show)


@pytest.mark.row("P6")
def test_a_file_store_that_is_silent(two: Cluster, files: Passage, client: Client, dataset: Any) -> None:
    samples = lambda: client.datasets.samples(dataset["id"], class_="网格", limit=1)  # noqa: E731
    until(lambda: timed(samples)[0] == 200, 120, two.log_end)
    files.black_hole()
    with ThreadPoolExecutor(2) as many:
        under_way = [many.submit(timed, samples) for _ in range(2)]
        says(two, "dataset-svc", "files")
        for status, code, seconds in [one.result() for one in under_way]:
            assert (status, code) == (503, "files_unavailable")
            assert seconds < LONGEST
    assert at_once(samples) == (503, "files_unavailable")
    until(lambda: timed(lambda: client.datasets.show(dataset["id"]))[0] == 200, 120, two.log_end)
    heals(two, files, samples)


@pytest.mark.row("P6")
def test_a_broker_that_is_silent_stops_no_request(two: Cluster, bus: Passage, client: Client, dataset: Any) -> None:
    bus.black_hole()
    assert at_once(lambda: client.datasets.edit(dataset["id"], description="anything")) == (200, "")
    member = two.member("dataset-svc")
    until(
        lambda: '"bus":"' in member.ask("/readyz")[1] and member.ask("/readyz")[0] == 503, 120, two.log_end, pause=0.2
    )
    heals(two, bus, lambda: client.datasets.show(dataset["id"]))


@pytest.mark.row("P6")
def test_a_service_that_is_silent(two: Cluster, client: Client, dataset: Any) -> None:
    show = lambda: client.datasets.show(dataset["id"])  # noqa: E731
    member = two.member("dataset-svc")
    member.send(signal.SIGSTOP)
    try:
        status, code, seconds = timed(show)
        assert (status, code) == (503, "service_unavailable")
        assert seconds < LONGEST
        assert at_once(show) == (503, "service_unavailable")
        until(lambda: two.member("gateway").ask("/readyz")[0] == 200, 120, two.log_end)
    finally:
        member.send(signal.SIGCONT)
    until(lambda: timed(show)[0] == 200, 120, two.log_end, pause=0.1)
