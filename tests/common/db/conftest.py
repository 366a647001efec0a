from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.db.database import Database
from common.db.migrate import upgrade
from common.db.uow import Store
from common.kernel.clock import ManualClock


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite+aiosqlite:///{tmp_path / 'service.sqlite3'}")
    await upgrade(made)
    yield made
    await made.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(database: Database, clock: ManualClock) -> Store:
    return Store(database, "test-svc", clock)
