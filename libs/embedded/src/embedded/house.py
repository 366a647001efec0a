"""The services, built and run together, with the gateway in front: nothing crosses a socket that need not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import httpx2

import algo_svc.service
import dataset_svc.service
import gateway.service
import notebook_svc.service
import serving_svc.service
import train_svc.service
from common.hosting.door import Health
from common.hosting.listening import Listening, listeners, settle, told_to_stop
from common.hosting.platform import answers
from common.hosting.watch import Watch, always
from common.ports.inventory import problems_of
from common.service import Platform, Service, run
from embedded.lock import locked, say_running
from embedded.platform import open_platform
from embedded.settings import Settings

Build = Callable[[Platform], Service]

BEHIND: tuple[Build, ...] = (
    dataset_svc.service.build,
    algo_svc.service.build,
    train_svc.service.build,
    notebook_svc.service.build,
    serving_svc.service.build,
)
"""The services behind the gateway, each with its settings from the environment."""


@dataclass(frozen=True)
class House:
    """The running platform. The gateway's app is the one address of all."""

    platform: Platform
    services: tuple[Service, ...]
    gateway: Service

    def notes(self) -> list[str]:
        """What this machine can't enforce, said at start rather than found out later."""
        return list(getattr(self.platform.runtime, "notes", ()))


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[House]:
    """All services on one state folder, as long as the block lasts. Raises Conflict (`home_in_use`)."""
    clients: dict[str, httpx2.AsyncClient] = {}
    async with AsyncExitStack() as stack:
        stack.enter_context(locked(settings.home))
        platform = await stack.enter_async_context(open_platform(settings, clients))
        behind = [build(platform) for build in BEHIND]
        for service in behind:
            transport = httpx2.ASGITransport(app=service.app, raise_app_exceptions=False)
            client = httpx2.AsyncClient(transport=transport, base_url=f"http://{service.name}")
            clients[service.name] = await stack.enter_async_context(client)
        front = gateway.service.build(platform, None, {service.name: service.app for service in behind})
        await stack.enter_async_context(run(platform, [*behind, front]))
        yield House(platform, (*behind, front), front)


def health_of(house: House) -> Health:
    """How all of them are together: looked at when somebody asks."""
    databases = [Watch(f"database {s.name}", s.kit.store.database.ping) for s in house.services]
    files, bus = house.platform.files, house.platform.bus
    inventory = Watch("inventory", always, remark=lambda: " ".join(problems_of(house.platform.inventory)))
    others = [Watch("bus", bus.ping), Watch("files", partial(answers, files)), inventory]
    health = Health("Modelyard", house.services, [*databases, *others])
    health.waits_for = None
    return health


async def serve(settings: Settings, ready: Callable[[str, House], None]) -> None:
    """Run the platform until SIGTERM or SIGINT; `ready(address, house)` is called once it answers."""
    stop = told_to_stop()
    with listeners(settings) as sockets:
        async with running(settings) as house:
            health = health_of(house)
            listening = Listening(settings, health, sockets)
            listening.open(house.gateway.app)
            settle()
            listening.start()
            say_running(settings.home, listening.address)
            ready(listening.address, house)
            await stop.wait()
            health.stopping = True
            for service in house.services:
                await service.drain()
            await listening.stop()
