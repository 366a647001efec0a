"""What the gateway passes on leaves at once, to services and replicas alike."""

import asyncio

import pytest
import uvloop

from gateway.proxy.http import open_session
from tests.support.sockets import waits_to_fill_packets

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


async def _passed_on() -> list[bool]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(60), open_session(5.0) as session:
        async with session.get(f"http://127.0.0.1:{port}/") as response:
            assert response.status == 204
        found = waits_to_fill_packets(port)
    server.close()
    await server.wait_closed()
    return found


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_gateway_waits_for_no_acknowledgement_before_it_sends_on(loop):
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(_passed_on()) == [False]
