"""The outside of a service that runs alone: whatever stands behind the URLs of its settings.

Nothing is connected here: a service is built whole while its database is still away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from typing import Protocol, runtime_checkable

import httpx2

from common.bus.rabbitmq import RabbitBus
from common.db.database import Database
from common.hosting.files import open_files
from common.hosting.settings import Needs, Settings
from common.hosting.watch import Watch, always, nobody
from common.hosting.workplaces import Workplace, open_workplace
from common.kernel.accelerators import parse_accelerators
from common.kernel.clock import SystemClock
from common.kernel.errors import NotFound
from common.ports.files import Files
from common.ports.inventory import problems_of
from common.service import Platform
from common.web.calls import Calls
from common.web.identity import KeyRing, Signer, open_signer

KEPT_ALIVE_SECONDS = 3.0
"""Shorter than servers keep idle connections (uvicorn: 5 s), so that we never send on one that is just closing."""

Step = Callable[[], Awaitable[None]]


class Clients(Mapping[str, httpx2.AsyncClient]):
    """A client for each service whose address is known, made when it is asked for first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: dict[str, httpx2.AsyncClient] = {}

    def __getitem__(self, service: str) -> httpx2.AsyncClient:
        if service not in self._made:
            address = self._settings.address_of(service)
            if address is None:
                raise KeyError(service)
            limits = httpx2.Limits(keepalive_expiry=KEPT_ALIVE_SECONDS)
            self._made[service] = httpx2.AsyncClient(base_url=address, limits=limits, trust_env=False)
        return self._made[service]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    async def close(self) -> None:
        """Give the connections back."""
        for client in self._made.values():
            await client.aclose()


@dataclass
class Outside:
    """The platform of a service alone, and what of it a host starts, watches and ends."""

    platform: Platform
    files: Files
    probe: Files
    """The same store, asked beside it: whether it answers."""
    workplace: Workplace
    clients: Clients
    databases: dict[str, Database] = field(default_factory=dict)

    def steps(self, needs: Needs) -> list[tuple[str, Step]]:
        """What is to be done before a service can begin, in order; each can be tried again."""
        steps: list[tuple[str, Step]] = []
        if Needs.WORKLOADS in needs:
            steps.append(("looking for running workloads", self.workplace.runtime.start))
        return steps

    async def close(self) -> None:
        """Give everything back; workloads go on."""
        await self.workplace.runtime.close()
        await self.workplace.staging.close()
        await self.files.close()
        await self.probe.close()
        await self.clients.close()
        for database in self.databases.values():
            await database.close()


def watches(needs: Needs, outside: Outside) -> list[Watch]:
    """One for each dependency."""
    found = [
        Watch("database" if first else f"database {name}", database.pulse, database.wedge)
        for first, (name, database) in zip(chain([True], repeat(False)), outside.databases.items(), strict=False)
    ]
    found.append(Watch("bus", outside.platform.bus.ping))
    if Needs.FILES in needs:
        silent = outside.files if isinstance(outside.files, Wedged) else None
        found.append(Watch("files", partial(answers, outside.probe), silent.wedge if silent else nobody))
    if Needs.WORKLOADS in needs and outside.workplace.look is not None:
        found.append(Watch("runtime", outside.workplace.look))
    if Needs.WORKLOADS in needs:
        found.append(Watch("inventory", always, remark=lambda: " ".join(problems_of(outside.workplace.inventory))))
    return found


@runtime_checkable
class Wedged(Protocol):
    """What can be told that its server is silent."""

    def wedge(self, reason: str | None) -> None:
        """It is silent, or (None) no more."""
        ...


async def answers(files: Files) -> None:
    """Raise where the file store does not answer, or refuses."""
    with suppress(NotFound):
        await files.stat("health")


def open_outside(settings: Settings, service: str) -> Outside:
    """What these settings say. Raises Invalid where a URL means nothing to us."""
    clock, home = SystemClock(), settings.home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    files = open_files(settings)
    workplace = open_workplace(settings.runtime_url or "process:", settings, files, clock)
    keys = (settings.keys or home / "keys").absolute()
    private = (settings.private_keys or keys / "private").absolute()
    clients = Clients(settings)
    databases: dict[str, Database] = {}

    def signer_of(name: str) -> Signer:
        return open_signer(name, private, keys / "public")

    def database_of(name: str) -> Database:
        if name not in databases:
            databases[name] = Database(settings.database_of(name), pool_size=settings.database_pool)
        return databases[name]

    platform = Platform(
        instance=settings.instance,
        home=home,
        clock=clock,
        bus=RabbitBus(settings.bus_url.get_secret_value(), name=f"{service} {settings.instance}"),
        files=files,
        runtime=workplace.runtime,
        engines=workplace.engines,
        inventory=workplace.inventory,
        staging=workplace.staging,
        keyring=KeyRing(keys / "public"),
        signer_of=signer_of,
        calls_of=lambda name: Calls(signer_of(name), clients),
        database_of=database_of,
        shared=settings.shared,
        accelerators=parse_accelerators(settings.accelerators),
    )
    return Outside(platform, files, open_files(settings), workplace, clients, databases)
