"""Cutting into blocks loses nothing, and only the last block is short."""

import base64
import hashlib
import zlib
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from common.files.s3 import blocks as cutting


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(1, 30))
async def test_blocks_are_the_content(pieces, size):
    before = cutting.BLOCK
    cutting.BLOCK = size
    try:
        whole, digests, found = b"".join(pieces), cutting.Digests(), []
        for content in (_chunks(pieces), whole):
            found = [block async for block in cutting.blocks(content)]
            assert b"".join(found) == whole
            assert [len(block) for block in found[:-1]] == [size] * (len(found) - 1)
            assert 0 < len(found[-1]) <= size or whole == b""
        for block in found:
            assert base64.b64decode(await digests.add(block)) == zlib.crc32(block).to_bytes(4, "big")
        assert (digests.size, digests.value()) == (len(whole), hashlib.sha256(whole).hexdigest())
    finally:
        cutting.BLOCK = before


def test_as_many_blocks_as_s3_takes_hold_enough():
    assert sum(cutting.block_size(number) for number in range(1, 10_001)) > 800 << 30
    assert cutting.block_size(1) == cutting.BLOCK


async def _chunks(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
