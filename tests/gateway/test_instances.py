"""Two gateways on one database and one broker: what one of them learns holds at the other, at once or very soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from common.contracts.service import Endpoint, ServiceChanged, ServiceDeleted
from common.contracts.shared import Visibility
from gateway.identity.watch import LOOK_SECONDS
from gateway.service import build
from gateway.settings import Settings
from gateway.usecases.login import PASSWORD_FILE
from tests.gateway.gate import ADMIN_PASSWORD, SERVICE, Call, Gate, open_call, until
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.support.instances import Servers, instance, servers

SOON_SECONDS = 180.0
"""For a look on a busy machine; `verified_seconds` is set far beyond it."""


@pytest_asyncio.fixture
async def shared(postgres: Postgres, rabbitmq: RabbitMQ, vhost: str) -> AsyncIterator[Servers]:
    async with servers(postgres, rabbitmq.url(vhost), "gateway") as made:
        yield made


@pytest_asyncio.fixture
async def open_gate(shared: Servers, tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Gate]]]:
    async with AsyncExitStack() as stack:

        async def open_(name: str, home: Path | None = None, **settings: Any) -> Gate:
            quick = {"admin_password": ADMIN_PASSWORD, "password_memory": 64, "password_rounds": 1}
            chosen = Settings(**{**quick, "verified_seconds": 600.0, **settings})
            builds = [lambda platform: build(platform, chosen, {})]
            house = await stack.enter_async_context(instance(name, home or tmp_path, shared, builds))
            gate = Gate(house.service("gateway"), home or tmp_path)
            stack.push_async_callback(gate.close)
            return gate

        yield open_


@pytest_asyncio.fixture
async def gates(open_gate: Callable[..., Awaitable[Gate]]) -> list[Gate]:
    return list(await asyncio.gather(open_gate("gateway-1"), open_gate("gateway-2")))


async def listen(gate: Gate, token: str) -> Call:
    call = open_call(gate.app, "GET", "/api/v1/events", token)
    call.body()
    await call.next()
    assert await call.chunk() == b": listening\n\n"
    return call


def changed(state: str, *urls: str) -> ServiceChanged:
    endpoints = tuple(Endpoint(replica=f"rep-{n}", url=url) for n, url in enumerate(urls))
    about: dict[str, Any] = {"id": SERVICE, "name": "s", "owner": "alice", "visibility": Visibility.PUBLIC}
    return ServiceChanged(state=state, replicas=len(urls), endpoints=endpoints, **about)


@pytest.mark.row("P1")
async def test_a_live_stream_hears_everything_whichever_instance_it_is_at(gates: list[Gate]) -> None:
    token = await gates[0].log_in()
    calls = [await listen(gate, token) for gate in gates]
    sent = [await gates[n % 2].emit(changed("running", f"http://r-{n}"), SERVICE, "alice") for n in range(12)]
    for call in calls:
        heard = {(await call.chunk()).decode().split("\n")[0] for _ in sent}
        assert heard == {f"id: {event.id}" for event in sent}
        call.disconnect()
        await call.done()


async def test_routes_are_the_same_at_every_instance_whatever_order_they_are_heard_in(gates: list[Gate]) -> None:
    def targets() -> list[list[str]]:
        entries = [gate.context.routes.find(SERVICE) for gate in gates]
        return [[target.url for target in entry.targets] if entry else [] for entry in entries]

    for n in range(10):
        await gates[n % 2].emit(changed("running", f"http://r-{n}"), SERVICE, "alice")
    await until(lambda: targets() == [["http://r-9"], ["http://r-9"]])
    await gates[0].emit(ServiceDeleted(id=SERVICE), SERVICE, "alice")
    await until(lambda: targets() == [[], []])


async def test_routes_that_were_told_while_the_broker_was_away_are_looked_up(
    gates: list[Gate], rabbitmq: RabbitMQ
) -> None:
    await asyncio.to_thread(rabbitmq.kill)
    await gates[0].emit(changed("running", "http://late"), SERVICE, "alice")
    await asyncio.to_thread(rabbitmq.start)
    await until(lambda: all(gate.context.routes.find(SERVICE) for gate in gates), 120)


async def test_a_gateway_that_starts_later_knows_the_routes(gates: list[Gate], open_gate: Any) -> None:
    await gates[0].emit(changed("running", "http://r"), SERVICE, "alice")
    await until(lambda: all(gate.context.routes.find(SERVICE) for gate in gates))
    third = await open_gate("gateway-3")
    assert third.context.routes.find(SERVICE) is not None


async def test_what_is_revoked_at_one_is_refused_at_the_other_within_a_second(gates: list[Gate]) -> None:
    assert LOOK_SECONDS <= 1.0, "a second, where the machine has nothing else to do"
    one, other = gates
    user, login = await one.user("alice")
    key = await one.key(login)
    credentials = [login, key["key"]]
    for credential in credentials:
        assert (await other.client(credential).get("/api-keys")).status_code == 200
    stream = await listen(other, key["key"])
    assert (await one.client(login).delete(f"/api-keys/{key['id']}")).status_code == 204
    assert (await one.client(key["key"]).get("/api-keys")).status_code == 401, "here at once"
    await refused(other, key["key"])
    assert b"login" in await stream.chunk(), "and what it listened to ends"
    assert (await other.client(login).get("/api-keys")).status_code == 200
    admin = one.client(await one.log_in())
    assert (await admin.post(f"/users/{user}/disable")).status_code == 200
    await refused(other, login)
    stream.disconnect()
    await stream.done()


async def refused(gate: Gate, credential: str) -> None:
    async with asyncio.timeout(SOON_SECONDS):
        while (await gate.client(credential).get("/api-keys")).status_code != 401:
            await asyncio.sleep(0.02)


async def test_of_two_first_passwords_only_the_one_that_opens_stays(
    open_gate: Callable[..., Awaitable[Gate]], tmp_path: Path
) -> None:
    homes = [tmp_path / "one", tmp_path / "two"]
    gates = await asyncio.gather(
        *(open_gate(f"gateway-{n}", home, admin_password=None) for n, home in enumerate(homes))
    )
    (file,) = [path for home in homes if (path := home / PASSWORD_FILE).exists()]
    for gate, home in zip(gates, homes, strict=True):
        if home == file.parent:
            await gate.log_in("admin", file.read_text().strip())
    assert not [path for home in homes for path in home.glob("*.new")]
