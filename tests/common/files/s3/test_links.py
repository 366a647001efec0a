"""Uploads whose parts go straight to the server: resumed, completed twice, thrown away with nobody knowing them."""

from __future__ import annotations

import io

import aiohttp
import pytest
from yarl import URL

from common.files.s3 import S3Files
from common.kernel.errors import Invalid, NotFound

MIB = 1 << 20
CONTENT = bytes(range(256)) * (6 * MIB // 256)


async def put(link: str, data: bytes) -> int:
    async with (
        aiohttp.ClientSession() as anybody,
        anybody.put(URL(link, encoded=True), data=io.BytesIO(data)) as answer,
    ):
        return answer.status


@pytest.fixture(params=["swift", "rclone"])
def files(request: pytest.FixtureRequest) -> S3Files:
    found: S3Files = request.getfixturevalue(f"on_{request.param}")
    return found


async def test_parts_by_link_become_the_object(files: S3Files) -> None:
    key, pieces = "in/数", [CONTENT[: 5 * MIB], CONTENT[5 * MIB :]]
    upload = await files.begin_direct(key)
    assert await files.direct_parts(key, upload) == []
    for number, piece in reversed(list(enumerate(pieces, 1))):
        assert await put(await files.presign_part(key, upload, number, len(piece), 60), piece) == 200
    assert await put(await files.presign_part(key, upload, 2, MIB, 60), pieces[1]) == 200, "again"
    parts = await files.direct_parts(key, upload)
    assert [(part.number, part.size) for part in parts] == [(1, 5 * MIB), (2, MIB)]
    for _ in range(2):
        await files.complete_direct(key, upload, parts)
    await files.abort_direct(key)
    assert await files.read(key) == CONTENT


async def test_a_link_takes_as_many_bytes_as_were_told(on_swift: S3Files) -> None:
    upload = await on_swift.begin_direct("key")
    link = await on_swift.presign_part("key", upload, 1, 100, 60)
    assert await put(link, b"x" * 101) == 403
    assert await put(link, b"x" * 100) == 200


async def test_what_is_thrown_away_takes_nothing_more(files: S3Files) -> None:
    mine, forgotten = await files.begin_direct("key"), await files.begin_direct("key")
    other = await files.begin_direct("key2")
    link = await files.presign_part("key", mine, 1, 3, 60)
    await files.abort_direct("key")
    assert await put(link, b"abc") == 404
    for upload in (mine, forgotten):
        with pytest.raises(NotFound) as gone:
            await files.direct_parts("key", upload)
        assert gone.value.code == "upload_not_found"
        with pytest.raises(NotFound):
            await files.complete_direct("key", upload, [])
    assert await files.direct_parts("key2", other) == []
    await files.abort_direct("key")


async def test_a_link_tells_the_name(on_swift: S3Files) -> None:
    await on_swift.put("key", b"content")
    link = await on_swift.presign_get("key", 60, name="模型.bin")
    async with aiohttp.ClientSession() as anybody, anybody.get(URL(link, encoded=True)) as answer:
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%E6%A8%A1%E5%9E%8B.bin"


async def test_a_link_to_a_few_bytes_gives_no_others(on_swift: S3Files) -> None:
    await on_swift.put("key", b"0123456789")
    link = URL(await on_swift.presign_get("key", 60, span=(2, 5)), encoded=True)
    async with aiohttp.ClientSession() as anybody:
        async with anybody.get(link, headers={"Range": "bytes=2-4"}) as answer:
            assert (answer.status, await answer.read()) == (206, b"234")
        for headers in ({}, {"Range": "bytes=0-9"}):
            async with anybody.get(link, headers=headers) as answer:
                assert answer.status == 403


async def test_a_block_that_is_damaged_on_its_way_is_refused(on_swift: S3Files) -> None:
    wire = on_swift._wire
    upload = await wire.create_upload("damaged", {}, summed=True)
    with pytest.raises(Invalid) as refused:
        await wire.send_part("damaged", upload, 1, b"abc", "AAAAAA==")
    assert refused.value.code == "checksum_mismatch"
    await wire.send_part("damaged", upload, 1, b"abc", "NSRBwg==")
    await wire.abort_upload("damaged", upload)
