"""A body arrives as it was sent, however it was cut on its way, and as late as the app asks for it."""

import asyncio

import pytest
import uvloop

from common.hosting.listening import listen, server_of

PIECES = [bytes([number]) * size for number, size in enumerate([1, 40_000, 30_000, 300_000, 1, 700_000, 7])]


async def _heard(chunked):
    """What the app heard of the pieces, of which it first asks for when the second request comes."""
    asked, heard = asyncio.Event(), bytearray()

    async def app(scope, receive, send):
        if scope["path"] == "/ask":
            asked.set()
        else:
            await asked.wait()
            more = True
            while more:
                message = await receive()
                assert isinstance(message["body"], bytes)
                heard.extend(message["body"])
                more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    listener = listen("127.0.0.1", 0)
    server = server_of(app, 1)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
    _, asking = await asyncio.open_connection(*listener.getsockname()[:2])
    size = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % sum(map(len, PIECES))
    writer.write(b"PUT / HTTP/1.1\r\nHost: here\r\n%s\r\n\r\n" % size)
    for number, piece in enumerate(PIECES):
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if number == 1:  # what comes next waits in the kernel, since the app has more than enough to ask for
            await writer.drain()
            asking.write(b"GET /ask HTTP/1.1\r\nHost: here\r\n\r\n")
    if chunked:
        writer.write(b"0\r\n\r\n")
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    asking.close()
    server.should_exit = True
    await serving
    return bytes(heard)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_body_is_heard_as_it_was_sent(loop, chunked):
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(_heard(chunked)) == b"".join(PIECES)
