"""The services, built and run together, with the gateway in front: nothing crosses a socket that need not."""

from __future__ import annotations

import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx2
import uvicorn

import algo_svc.service
import dataset_svc.service
import gateway.service
import notebook_svc.service
import serving_svc.service
import train_svc.service
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


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.listen(2048)
    return listener


async def serve(settings: Settings, ready: Callable[[str, House], None]) -> None:
    """Run the platform until SIGTERM or SIGINT; `ready(address, house)` is called once it answers."""
    listener = listen(settings.host, settings.port)
    with contextlib.closing(listener):
        host, port = listener.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        async with running(settings) as house:
            config = uvicorn.Config(
                house.gateway.app,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=5,
                proxy_headers=False,  # else anybody here could claim another address, and guess passwords for ever
            )
            gc.collect()
            gc.freeze()  # what was built so far stays for good: looking through it again and again would stall requests
            say_running(settings.home, address)
            ready(address, house)
            await uvicorn.Server(config).serve(sockets=[listener])
