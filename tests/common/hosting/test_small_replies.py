"""Small writes leave at once, on whichever loop, at both ends of a connection between services."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import uvloop

from common.hosting.listening import listen, server_of
from common.hosting.platform import Clients
from tests.support.sockets import waits_to_fill_packets

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def _both_ends() -> tuple[list[bool], list[bool]]:
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = server_of(_app, 1)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    clients = Clients(SimpleNamespace(address_of=lambda _: f"http://127.0.0.1:{port}"))  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        assert (await clients["any-svc"].get("/")).status_code == 204
    found = waits_to_fill_packets(port), waits_to_fill_packets(port, ours=True)
    await clients.close()
    server.should_exit = True
    await serving
    return found


@pytest.mark.parametrize("loop", LOOPS)
def test_neither_a_server_nor_a_client_of_services_waits_for_acknowledgements(loop):
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(_both_ends()) == ([False], [False])
