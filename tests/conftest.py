"""Real servers, started when the first test asks and ended with the run."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import pytest
import structlog
from hypothesis import HealthCheck, settings

from common.bus import rabbitmq as rabbit
from common.db import postgres as postgres_adapter
from tests.servers.docker import Docker
from tests.servers.postgres import Postgres
from tests.servers.process import Server
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import Rclone, Swift
from tests.support.sharing import Sharing, longest_first

if TYPE_CHECKING:
    from xdist.remote import Producer

    from tests.compose.running import Composed

S = TypeVar("S", bound=Server)

# how long an example takes says more of the machine than of the code; what hangs meets pytest's own limit
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# by default each traceback is drawn with all variables of all frames, which takes seconds and stops the loop meanwhile
_plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _plain])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    """Told by xdist."""
    return Sharing(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Told by pytest."""
    longest_first(items)


PATIENT: dict[ModuleType, tuple[str, ...]] = {
    postgres_adapter: ("CONNECT_SECONDS", "LOCK_SECONDS", "POOL_WAIT_SECONDS"),
    rabbit.bus: ("START_SECONDS",),
    rabbit.publisher: ("CONFIRM_SECONDS",),
    rabbit.dead: ("CONNECT_SECONDS", "ASK_SECONDS"),
    rabbit.depths: ("ASK_SECONDS",),
    rabbit.link: ("CONNECT_SECONDS",),
    rabbit.listener: ("DECLARE_SECONDS",),
    rabbit.broadcasting: ("DECLARE_SECONDS",),
    rabbit.topology: ("DECLARE_SECONDS",),
    rabbit.log: ("DECLARE_SECONDS",),
    rabbit.notes: ("DECLARE_SECONDS",),
}


@pytest.fixture(scope="session", autouse=True)
def _unhurried() -> None:
    """What waits for a database or a broker gives up late, as this machine may be busy; tests of giving up say when."""
    for module, names in PATIENT.items():
        for name in names:
            assert hasattr(module, name), f"{module.__name__} has no {name} any more"
            setattr(module, name, 60.0)


_SHARED: list[Server] = []
"""What runs for all tests of this process."""


def pytest_exception_interact() -> None:
    """Told by pytest of each failure: a server that it left dead would fail all tests that come after it."""
    for server in _SHARED:
        if not server.answers():
            try:
                server.restart()
            except Exception:  # noqa: BLE001 - the tests that need it say so themselves
                traceback.print_exc()


def _shared(server: S) -> Iterator[S]:
    try:
        server.start()
        _SHARED.append(server)
        yield server
    finally:
        if server in _SHARED:
            _SHARED.remove(server)
        server.close()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """The broker. A test that kills it starts it again."""
    yield from _shared(RabbitMQ())


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The database server. A test that kills it starts it again."""
    yield from _shared(Postgres())


@pytest.fixture(scope="session")
def rclone() -> Iterator[Rclone]:
    """The fast S3 server. A test that kills it starts it again."""
    yield from _shared(Rclone())


@pytest.fixture(scope="session")
def swift() -> Iterator[Swift]:
    """The strict S3 server. A test that kills it starts it again."""
    yield from _shared(Swift())


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    """The container engine. A test that kills it starts it again."""
    yield from _shared(Docker())


@pytest.fixture(scope="session")
def composition(request: pytest.FixtureRequest, docker: Docker) -> Iterator[Composed]:
    """The platform as docker-compose.yml describes it, on that engine. Its logs are shown where a test has failed."""
    from tests.compose.running import composed  # it takes its second, and few ask

    with composed(docker) as running:
        yield running
        if request.session.testsfailed:
            request.config.get_terminal_writer().write(f"\n{running.log_end(60)}\n")


@pytest.fixture
def vhost(rabbitmq: RabbitMQ) -> Iterator[str]:
    """A virtual host for one test; its name."""
    name = rabbitmq.create()
    yield name
    rabbitmq.drop(name)
