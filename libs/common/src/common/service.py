"""What a service is made of, and how services run: alone in a process or together in one.

`build(platform, settings) -> Service` is every service's front door. A `Kit` is the service's share of the platform.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fastapi import FastAPI

from common.db.database import Database
from common.db.inbox import Inbox, Reactions
from common.db.janitor import sweep
from common.db.leases import Lease, Leases
from common.db.migrate import upgrade
from common.db.outbox import Relay
from common.db.standing import queues, standing
from common.db.uow import Store
from common.kernel.accelerators import BUILT_IN, Accelerator
from common.kernel.clock import Clock
from common.loops import Loop
from common.ports.bus import Broadcast, Bus
from common.ports.files import Files
from common.ports.images import Engines
from common.ports.inventory import Inventory
from common.ports.runtime import Runtime
from common.ports.staging import Staging
from common.sources.roots import SharedRoots
from common.telemetry.figures import Figures
from common.web.calls import Calls
from common.web.dead import DeadLetters, dead_letter_routes
from common.web.identity import KeyRing, Signer

SWEEP_SECONDS = 3600.0
HOUR_SECONDS = 30.0
"""How often the database is asked what time it is."""


Take = Callable[[str, Callable[[], Awaitable[None]]], Awaitable[None]]
"""How a step of beginning is taken: at once, or again and again until what it needs is there. `(what, step)`"""


@dataclass(frozen=True)
class Platform:
    """What the outside is in this mode: only URLs differ between them, no service knows which it is in.

    `instance` names this process among others of the same service; `home` is the state folder where there is one;
    `shared` are the shared file systems of this machine; `accelerators` the kinds that there may be.
    """

    instance: str
    home: Path
    clock: Clock
    bus: Bus
    files: Files
    runtime: Runtime
    engines: Engines
    inventory: Inventory
    staging: Staging
    keyring: KeyRing
    signer_of: Callable[[str], Signer]
    calls_of: Callable[[str], Calls]
    database_of: Callable[[str], Database]
    shared: SharedRoots = field(default_factory=SharedRoots)
    accelerators: tuple[Accelerator, ...] = BUILT_IN

    def kit(self, service: str) -> Kit:
        """A service's share."""
        database = self.database_of(service)
        store = Store(database, service, self.clock)
        signer, calls = self.signer_of(service), self.calls_of(service)
        signer.time = self.keyring.time
        calls.follow(self.keyring.time)
        return Kit(service, self, store, Leases(database, self.instance), signer, calls)


@dataclass(frozen=True)
class Kit:
    """What one service works with: its database, its leases, its own voice to the others, and the platform."""

    service: str
    platform: Platform
    store: Store
    leases: Leases
    signer: Signer
    calls: Calls
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the service is told to stop: long streams end then, and their listeners find another instance."""


@dataclass
class Service:
    """One service, built but not running. `migrations` is the folder of its Alembic branch.

    `on_start` calls run after the migrations and before anything is heard or served; each may be tried again where what
    it needs is away. `on_drain` calls come first when it is told to stop, while it still answers. `figures` are what an
    operator wants to know of it besides what every service tells.
    """

    kit: Kit
    app: FastAPI
    reactions: Reactions = field(default_factory=dict)
    broadcasts: Sequence[Broadcast] = ()
    loops: Sequence[Loop] = ()
    migrations: Path | None = None
    on_start: Sequence[Callable[[], Awaitable[None]]] = ()
    on_stop: Sequence[Callable[[], Awaitable[None]]] = ()
    on_drain: Sequence[Callable[[], Awaitable[None]]] = ()
    figures: Sequence[Figures] = ()

    def __post_init__(self) -> None:
        of_queues = partial(queues, self.kit.platform.bus, self.kit.service)
        self.figures = [partial(standing, self.kit.store), of_queues, *self.figures]
        self.inbox = Inbox(self.kit.store, self.kit.service, self.reactions)
        self.relay = Relay(self.kit.store, self.kit.platform.bus)
        letters = DeadLetters(self.kit.service, self.inbox, self.kit.platform.bus.dead)
        self.app.include_router(dead_letter_routes(letters), prefix="/api/v1")

    @property
    def name(self) -> str:
        """The service's name, such as `train-svc`."""
        return self.kit.service

    async def ask_the_hour(self, _lease: Lease | None = None) -> None:
        """Tokens follow the database's clock, as leases do. A SQLite file is on this very machine."""
        database = self.kit.store.database
        if not database.is_sqlite:
            self.kit.platform.keyring.time.set(await database.clock())

    async def _sweep(self, _lease: Lease | None) -> None:
        await sweep(self.kit.store)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Relay, retries and loops, as long as the block lasts. The bus must have been started."""
        leases, clock = self.kit.leases, self.kit.store.clock
        loops = [*self.loops, Loop("janitor", self._sweep, every=SWEEP_SECONDS)]
        if not self.kit.store.database.is_sqlite:
            loops.append(Loop("hour", self.ask_the_hour, every=HOUR_SECONDS, leased=False))
        tasks = [
            asyncio.create_task(self.relay.run(), name=f"{self.name} relay"),
            asyncio.create_task(self.inbox.run(), name=f"{self.name} inbox"),
            *(asyncio.create_task(loop.run(leases, clock), name=f"{self.name} {loop.name}") for loop in loops),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for stop in self.on_stop:
                await stop()
            for loop in loops:  # only now: nothing is under way any more that was begun under its lease
                await loop.give_up(leases)

    async def drain(self) -> None:
        """It is told to stop: end long streams, which would hold up the end."""
        self.kit.closing.set()
        for end in self.on_drain:
            await end()


async def at_once(_what: str, step: Callable[[], Awaitable[None]]) -> None:
    """Take a step now, and fail where it fails."""
    await step()


@asynccontextmanager
async def run(
    platform: Platform, services: Sequence[Service], take: Take = at_once
) -> AsyncIterator[Mapping[str, Service]]:
    """Migrate, listen and run these services in this process, as long as the block lasts."""
    async with AsyncExitStack() as stack:
        for service in services:
            database = service.kit.store.database
            stack.push_async_callback(database.close)
            await take("bringing the database up to date", partial(upgrade, database, service.migrations))
            await take("asking the database what time it is", service.ask_the_hour)
        for service in services:
            for start in service.on_start:
                await take("getting ready", start)
        subscriptions = [s for service in services for s in service.inbox.subscriptions()]
        broadcasts = [b for service in services for b in service.broadcasts]
        await take("listening to the bus", partial(platform.bus.start, subscriptions, broadcasts))
        stack.push_async_callback(platform.bus.close)
        for service in services:
            await stack.enter_async_context(service.running())
        yield {service.name: service for service in services}
