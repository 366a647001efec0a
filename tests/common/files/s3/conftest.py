import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from common.files.s3 import S3Files, S3Settings
from common.kernel.ids import new_id
from tests.servers.s3 import Rclone, Swift

Open = Callable[..., S3Files]


@pytest.fixture
async def open_files() -> AsyncIterator[Open]:
    """Makes clients that are closed with the test."""
    async with AsyncExitStack() as stack:

        def opened(settings: S3Settings) -> S3Files:
            files = S3Files(settings)
            stack.push_async_callback(files.close)
            return files

        yield opened


@pytest.fixture
def on_swift(swift: Swift, open_files: Open) -> S3Files:
    return open_files(swift.settings(f"{new_id('store')}/"))


@pytest.fixture
def on_rclone(rclone: Rclone, open_files: Open) -> S3Files:
    return open_files(rclone.settings(f"{new_id('store')}/"))


@pytest.fixture
async def canned() -> AsyncIterator[Callable[[bytes], Awaitable[S3Settings]]]:
    """A server that gives one answer to everything."""
    async with AsyncExitStack() as stack:

        async def serve(answer: bytes) -> S3Settings:
            async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()
                writer.close()

            server = await stack.enter_async_context(await asyncio.start_server(one, "127.0.0.1", 0))
            port = server.sockets[0].getsockname()[1]
            return S3Settings(f"http://127.0.0.1:{port}", "objects", "key", "secret", timeout=2)

        yield serve
