"""Every test of this room runs on both dialects."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.db.database import Database
from common.db.migrate import upgrade
from common.db.uow import Store
from common.kernel.clock import ManualClock
from tests.servers.postgres import Postgres


async def migrate(url: str) -> None:
    made = Database(url)
    await upgrade(made)
    await made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def empty_url(request, tmp_path: Path) -> AsyncIterator[str]:
    """Where a database without tables is."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.sqlite3'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = await server.create()
    yield url
    await server.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request, tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated one."""
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'service.sqlite3'}"
        await migrate(url)
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = await server.copy_of("common", migrate)
    made = Database(url)
    yield made
    await made.close()
    if request.param != "sqlite":
        await server.drop(url)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(database: Database, clock: ManualClock) -> Store:
    return Store(database, "test-svc", clock)
