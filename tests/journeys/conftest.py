"""A platform for each module of journeys, with people who are logged in to it.

A module that says `ON = (EMBEDDED, PROCESSES)` is run on both by the same tests: all services in one process, and each
in one of its own on a real broker, database server and S3 server. Those share one cluster, which is slow to start.
`DOCKER` is such a cluster whose workloads are containers, `COMPOSE` the composition (`make compose-test`).
"""

import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.steps import COMPOSE, DOCKER, EMBEDDED, PROCESSES
from tests.servers.docker import Docker
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import Swift
from tests.support import containers, process
from tests.support.algorithms import Bell, bell
from tests.support.cluster import Cluster, cluster
from tests.support.process import Gate
from yard import Client


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "platform" in metafunc.fixturenames:
        marks = {COMPOSE: [pytest.mark.compose]}
        on = [pytest.param(one, marks=marks.get(one, [])) for one in getattr(metafunc.module, "ON", (EMBEDDED,))]
        metafunc.parametrize("platform", on, indirect=True, scope="module")


@pytest.fixture(scope="session")
def engine() -> Path:
    """The presets' engine, built once a machine."""
    return process.ensure_engine()


@pytest.fixture
def rings() -> Iterator[Bell]:
    """What a training waits for before it ends, where it is told so."""
    with bell() as made:
        yield made


@pytest.fixture(scope="session")
def shared() -> Iterator[Path]:
    """Two shared file systems, `lab` and `notes`, which the users of workloads can reach."""
    with tempfile.TemporaryDirectory(prefix="modelyard-shared-") as root:
        for folder in (Path(root), Path(root, "lab"), Path(root, "notes")):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
        yield Path(root)


@pytest.fixture(scope="session")
def outside(shared: Path) -> dict[str, Any]:
    """What an administrator allows of what lies outside: shared folders, one to be written to, and this machine's own
    S3 servers. Uploads and formatted sets are cut into small parts."""
    return {
        "YARD_SHARED_ROOTS": json.dumps({"lab": str(shared / "lab"), "notes": str(shared / "notes")}),
        "YARD_WRITABLE_ROOTS": '["notes"]',
        "DATASET_SOURCE_NETWORKS": '["127.0.0.0/8"]',
        "DATASET_PART_BYTES": str(12 << 20),
        "DATASET_SHARD_BYTES": "5000",
    }


@pytest.fixture(scope="session")
def processes(
    engine: Path, rabbitmq: RabbitMQ, postgres: Postgres, swift: Swift, outside: dict[str, Any]
) -> Iterator[Cluster]:
    with cluster(rabbitmq, postgres, swift, **outside) as running:
        yield running


@pytest.fixture(scope="session")
def on_docker(
    rabbitmq: RabbitMQ, postgres: Postgres, swift: Swift, docker: Docker, outside: dict[str, Any]
) -> Iterator[Cluster]:
    """The six processes again, with containers for jobs and replicas."""
    containers.ensure_engine(docker)
    url = containers.runtime_url(docker)
    with cluster(rabbitmq, postgres, swift, YARD_RUNTIME_URL=url, **outside) as running:
        try:
            yield running
        finally:
            for member in running.everyone:
                member.stop()
            asyncio.run(containers.clear(running.home, docker, url))


@pytest.fixture(scope="module")
def platform(request: pytest.FixtureRequest) -> Iterator[Gate]:
    if request.param == COMPOSE:
        yield request.getfixturevalue("composition")
        return
    request.getfixturevalue("engine")
    if request.param == PROCESSES:
        yield request.getfixturevalue("processes")
    elif request.param == DOCKER:
        yield request.getfixturevalue("on_docker")
    else:
        with process.platform(**request.getfixturevalue("outside")) as running:
            yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a module's archives are written."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def admin(platform: Gate) -> Iterator[Client]:
    with platform.admin() as client:
        yield client


@pytest.fixture(scope="module")
def alice(platform: Gate) -> Iterator[Client]:
    with platform.user("alice") as client:
        yield client


@pytest.fixture(scope="module")
def bob(platform: Gate) -> Iterator[Client]:
    with platform.user("bob") as client:
        yield client
