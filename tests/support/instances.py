"""Several instances of the same services in this process, as on several machines: one PostgreSQL database a service,
one RabbitMQ, one file store and one runtime between them, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from common.bus.rabbitmq import RabbitBus
from common.db.database import Database
from common.service import Platform, run
from embedded.platform import open_platform
from embedded.settings import Settings
from tests.servers.postgres import Postgres
from tests.support.platform import Build, House


@dataclass(frozen=True)
class Servers:
    """What the instances share: a database URL for each service, and the broker."""

    databases: dict[str, str]
    amqp: str


@asynccontextmanager
async def servers(postgres: Postgres, amqp: str, *names: str) -> AsyncIterator[Servers]:
    """Empty databases of these names, which the first instance migrates; removed afterwards."""
    made = {name: await postgres.create() for name in names}
    try:
        yield Servers(made, amqp)
    finally:
        for url in made.values():
            await postgres.drop(url)


@asynccontextmanager
async def instance(
    name: str,
    home: Path,
    shared: Servers,
    builds: Sequence[Build],
    *,
    clients: dict[str, httpx2.AsyncClient] | None = None,
    change: Callable[[Platform], Platform] = lambda platform: platform,
    **overrides: Any,
) -> AsyncIterator[House]:
    """One running instance. `change` alters its platform before the services are built; `clients` of services that run
    in other instances only are found by all who are given the same."""
    clients = clients if clients is not None else {}
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_platform(Settings(home=home), clients, **overrides))
        platform = change(
            replace(
                opened,
                instance=name,
                bus=RabbitBus(shared.amqp, name=name),
                database_of=lambda service: Database(shared.databases[service]),
            )
        )
        built = [build(platform) for build in builds]
        for service in built:
            transport = httpx2.ASGITransport(app=service.app, raise_app_exceptions=False)
            clients[service.name] = await stack.enter_async_context(
                httpx2.AsyncClient(transport=transport, base_url=f"http://{service.name}")
            )
        by_name = await stack.enter_async_context(run(platform, built))
        house = House(platform, by_name, platform.signer_of("gateway"))
        stack.push_async_callback(house.close)
        yield house
