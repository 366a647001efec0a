"""The outside in embedded mode: SQLite, the memory bus, plain folders, and child processes or containers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from common.bus.memory import MemoryBus
from common.db.database import Database
from common.files.local import LocalFiles
from common.hosting.workplaces import open_workplace
from common.kernel.accelerators import parse_accelerators
from common.kernel.clock import Clock, SystemClock
from common.ports.images import Engines
from common.ports.inventory import Inventory
from common.ports.runtime import Runtime
from common.service import Platform
from common.web.calls import Calls
from common.web.identity import KeyRing, Signer, open_signer
from embedded.settings import Settings

INSTANCE = "embedded"
"""One name for every run: the lock on the state folder says that the run before is dead, so its leases are ours."""

NOT_DURABLE = frozenset({"train-svc-metrics"})
"""Databases that trade the last second before a power loss for speed."""


@asynccontextmanager
async def open_platform(
    settings: Settings,
    clients: dict[str, httpx2.AsyncClient],
    *,
    clock: Clock | None = None,
    runtime: Runtime | None = None,
    engines: Engines | None = None,
    inventory: Inventory | None = None,
) -> AsyncIterator[Platform]:
    """The platform on a state folder. `clients` is filled by the caller once the services are built."""
    home = settings.home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    clock = clock or SystemClock()
    files = LocalFiles(home / "files")
    place = open_workplace(settings.runtime_url or "process:", settings, files, clock)
    runtime = runtime or place.runtime
    keyring = KeyRing(home / "keys" / "public")

    def signer_of(service: str) -> Signer:
        return open_signer(service, home / "keys" / "private", home / "keys" / "public")

    platform = Platform(
        instance=INSTANCE,
        home=home,
        clock=clock,
        bus=MemoryBus(),
        files=files,
        runtime=runtime,
        engines=engines or place.engines,
        inventory=inventory or place.inventory,
        staging=place.staging,
        keyring=keyring,
        signer_of=signer_of,
        calls_of=lambda service: Calls(signer_of(service), clients),
        database_of=lambda name: Database(database_url(home, name), durable=name not in NOT_DURABLE),
        shared=settings.shared,
        accelerators=parse_accelerators(settings.accelerators),
    )
    await runtime.start()
    try:
        yield platform
    finally:
        await runtime.close()
        await place.staging.close()
        await files.close()


def database_url(home: Path, name: str) -> str:
    """Where a service's database is."""
    return f"sqlite+aiosqlite:///{home / 'db' / f'{name}.sqlite3'}"
