"""Putting one object by multipart upload: some blocks under way at a time, and nothing left where it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from common.files.draft import check_sum
from common.files.s3.blocks import Digests
from common.files.s3.wire import SentPart, Wire
from common.kernel.errors import Problem

AT_ONCE = 4
"""Blocks on their way at once; memory holds these and the one that is being filled."""


async def send(
    wire: Wire, name: str, blocks: AsyncIterator[bytes], digests: Digests, *, sha256: str | None, if_absent: bool
) -> None:
    """Put an object of many blocks under its whole name `name`. `digests` has them all afterwards.

    Raises Invalid (`checksum_mismatch`) where they are not `sha256`, Conflict (`file_exists`) with `if_absent`.
    """
    metadata = {"sha256": sha256.lower()} if sha256 else {}
    async with multipart(wire, name, metadata, summed=True) as upload:
        parts = await _send_all(wire, name, upload, blocks, digests)
        check_sum(name, digests.value(), sha256)
        await wire.complete_upload(name, upload, parts, if_absent=if_absent)


@asynccontextmanager
async def multipart(wire: Wire, name: str, metadata: Mapping[str, str], *, summed: bool) -> AsyncIterator[str]:
    """An upload of the server's, thrown away where the block fails; gives its id."""
    upload = await wire.create_upload(name, metadata, summed=summed)
    try:
        yield upload
    except BaseException:
        await asyncio.shield(_abort(wire, name, upload))
        raise


async def _abort(wire: Wire, name: str, upload: str) -> None:
    """Throw the blocks away. Where even that fails, the first failure is the one to tell, and the server's own rule
    for uploads that were never completed has to do it."""
    try:
        await wire.abort_upload(name, upload)
    except Problem:
        return


async def _send_all(
    wire: Wire, name: str, upload: str, blocks: AsyncIterator[bytes], digests: Digests
) -> list[SentPart]:
    under_way: set[asyncio.Task[SentPart]] = set()
    sent: list[SentPart] = []
    try:
        number = 0
        async for block in blocks:
            number += 1
            own = await digests.add(block)  # while as many as may be are on their way
            if len(under_way) >= AT_ONCE:
                done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                sent.extend(task.result() for task in done)
            under_way.add(asyncio.create_task(wire.send_part(name, upload, number, block, own)))
            del block
        sent.extend(await asyncio.gather(*under_way))
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    return sent
