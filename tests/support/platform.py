"""A platform of some services on a temporary home, in this process, with clients that act as somebody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from common.service import Platform, Service, run
from common.web.identity import Principal, Signer
from embedded.platform import open_platform
from embedded.settings import Settings

Build = Callable[[Platform], Service]


@dataclass
class House:
    """Running services. `client(service, as_=…)` speaks to one as a user, `admin` or a service (`as_="train-svc"`)."""

    platform: Platform
    services: Mapping[str, Service]
    gateway: Signer
    _clients: list[httpx2.AsyncClient] = field(default_factory=list)

    def service(self, name: str) -> Service:
        return self.services[name]

    def token(self, as_: str) -> str:
        if as_.endswith("-svc"):
            return self.platform.signer_of(as_).for_itself()
        return self.gateway.sign(Principal(as_, "admin" if as_ == "admin" else "user", as_))

    def client(self, service: str, as_: str | None = "alice") -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token(as_)}"} if as_ else {}
        transport = httpx2.ASGITransport(app=self.services[service].app, raise_app_exceptions=False)
        client = httpx2.AsyncClient(transport=transport, base_url="http://house/api/v1", headers=headers)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@asynccontextmanager
async def running(home: Path, services: Sequence[Build], **overrides: Any) -> AsyncIterator[House]:
    """Run these services (each a function `platform -> Service`) on `home`; `overrides` replace adapters."""
    clients: dict[str, httpx2.AsyncClient] = {}
    async with AsyncExitStack() as stack:
        platform = await stack.enter_async_context(open_platform(Settings(home=home), clients, **overrides))
        built = [build(platform) for build in services]
        for service in built:
            transport = httpx2.ASGITransport(app=service.app, raise_app_exceptions=False)
            clients[service.name] = await stack.enter_async_context(
                httpx2.AsyncClient(transport=transport, base_url=f"http://{service.name}")
            )
        by_name = await stack.enter_async_context(run(platform, built))
        house = House(platform, by_name, platform.signer_of("gateway"))
        stack.push_async_callback(house.close)
        yield house
