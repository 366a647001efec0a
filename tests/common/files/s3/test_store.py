"""S3 where it is more than the port: what servers do differently, what goes wrong, links, memory."""

import asyncio
import dataclasses
import gc
import hashlib
from collections.abc import AsyncIterator

import aiohttp
import psutil
import pytest
from yarl import URL

from common.files.s3 import wire
from common.kernel.errors import BadUpstream, Conflict, Invalid, NotFound, Problem, StorageFull, Unavailable
from common.kernel.ids import new_id
from tests.servers.proxy import Proxy

MIB = 1 << 20


async def pieces(count: int, size: int = MIB) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number % 251]) * size


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", ["swift", "rclone"])
async def test_a_large_object_goes_in_blocks_and_is_held_against_its_checksum(request, open_files, name):
    files = open_files(request.getfixturevalue(name).settings(f"{new_id('store')}/"))
    content = b"".join([piece async for piece in pieces(19)]) + b"the rest"
    with pytest.raises(Invalid) as refused:
        await files.put("large", content, sha256=digest(b"other"))
    assert refused.value.code == "checksum_mismatch"
    assert [info async for info in files.list()] == []
    info = await files.put("large", content, sha256=digest(content))
    assert (info.size, info.sha256) == (len(content), digest(content))
    assert (await files.stat("large")).sha256 == digest(content)
    assert await files.read("large") == content
    assert await files.read("large", 8 * MIB - 3, 8 * MIB + 5) == content[8 * MIB - 3 : 8 * MIB + 5]


async def test_a_range_over_many_answers_comes_in_order(on_rclone):
    content = b"".join([piece async for piece in pieces(45)])
    await on_rclone.put("large", content, sha256=digest(content))
    assert await on_rclone.read("large") == content
    assert await on_rclone.read("large", MIB - 1, 44 * MIB + 1) == content[MIB - 1 : 44 * MIB + 1]
    assert await on_rclone.read("large", 43 * MIB, 99 * MIB) == content[43 * MIB :]


async def test_an_object_replaced_while_it_is_read_is_no_mixture(on_rclone):
    await on_rclone.put("large", b"a" * 30 * MIB)
    reading = on_rclone.get("large")
    assert set(await anext(reading)) == set(b"a")
    await on_rclone.put("large", b"b" * 30 * MIB)
    with pytest.raises(Unavailable) as changed:
        assert [set(chunk) for chunk in [c async for c in reading] if set(chunk) != set(b"a")] == []
    assert changed.value.code == "file_changed"


async def test_who_stops_reading_a_large_object_leaves_nothing_under_way(on_rclone):
    await on_rclone.put("large", b"a" * 60 * MIB)
    before = asyncio.all_tasks()
    reading, got = on_rclone.get("large"), 0
    async for chunk in reading:
        got += len(chunk)
        if got > 20 * MIB:
            break
    await reading.aclose()
    assert asyncio.all_tasks() == before


async def test_a_file_is_stored_with_its_checksum(on_rclone, tmp_path):
    (tmp_path / "source").write_bytes(b"s" * 9 * MIB)
    await on_rclone.put_file("file", tmp_path / "source")
    assert (await on_rclone.stat("file")).sha256 == digest(b"s" * 9 * MIB)


@pytest.mark.parametrize("end", [None, 9, 50])
async def test_what_rots_at_the_server_is_noticed(canned, open_files, end):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nLast-Modified: Sat, 21 Nov 2026 00:00:00 GMT\r\n"
    noted = b"X-Amz-Meta-Sha256: " + digest(b"as it was").encode() + b"\r\n\r\n"
    rotten, sound = [open_files(await canned(head + noted + body)) for body in (b"as it is ", b"as it was")]
    assert await sound.read("precious", 0, end) == b"as it was"
    with pytest.raises(Problem) as damaged:
        await rotten.read("precious", 0, end)
    assert damaged.value.code == "file_corrupt"


async def test_the_server_holds_what_arrives_against_its_checksum(swift):
    one = wire.Wire(swift.settings(""))
    try:
        with pytest.raises(Invalid) as refused:
            await one.put("damaged", b"what came", digest(b"what was sent"), {})
        assert refused.value.code == "checksum_mismatch"
    finally:
        await one.close()


async def test_only_the_first_is_put_whoever_asks_where_the_server_knows_how(on_swift, swift, open_files):
    other = open_files(swift.settings(on_swift._settings.prefix))
    for content in (b"small", b"l" * (8 * MIB + 1)):
        await on_swift.put("one", content, if_absent=True)
        for late in (b"late", b"L" * (8 * MIB + 1)):
            with pytest.raises(Conflict) as refused:
                await other.put("one", late, if_absent=True)
            assert refused.value.code == "file_exists"
        assert await other.read("one") == content
        await other.delete("one")


async def test_what_a_server_does_about_conditions_is_found_out(on_swift, on_rclone):
    for files, expected in ((on_swift, True), (on_rclone, False)):
        assert (await files.probe()).conditional is expected
        assert [info async for info in files.list()] == []


async def test_what_it_does_about_conditions_is_found_out_when_it_matters(swift, rclone, open_files):
    for server in (swift, rclone):
        files = open_files(dataclasses.replace(server.settings(f"{new_id('store')}/"), conditional=None))
        await files.put("one", b"first", if_absent=True)
        with pytest.raises(Conflict):
            await files.put("one", b"late", if_absent=True)
        assert await files.read("one") == b"first"


async def test_a_list_goes_over_pages(on_rclone, monkeypatch):
    monkeypatch.setattr(wire, "PAGE", 3)
    names = [f"a/{number:02d}" for number in range(11)]
    await asyncio.gather(*(on_rclone.put(name, b"x") for name in names))
    assert [info.key async for info in on_rclone.list("a/")] == names


@pytest.mark.parametrize(("start", "end"), [(0, None), (3, None), (3, 5), (8, 99), (50, None), (0, 4)])
async def test_a_server_that_ignores_ranges_is_cut_to_them(canned, open_files, start, end):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nLast-Modified: Sat, 21 Nov 2026 00:00:00 GMT\r\n\r\n"
    files = open_files(await canned(head + b"0123456789"))
    assert await files.read("digits", start, end) == b"0123456789"[start:end]


@pytest.mark.parametrize(
    ("status", "code", "kind", "expected"),
    [
        ("507 Full", "InsufficientStorage", StorageFull, "storage_full"),
        ("413 Too Large", "EntityTooLarge", StorageFull, "storage_full"),
        ("403 No", "QuotaExceeded", StorageFull, "storage_full"),
        ("403 No", "AccessDenied", Unavailable, "files_refused"),
        ("404 No", "NoSuchBucket", Unavailable, "bucket_not_found"),
        ("404 No", "NoSuchKey", NotFound, "file_not_found"),
        ("400 No", "KeyTooLongError", Invalid, "bad_key"),
        ("503 Slow", "SlowDown", Unavailable, "files_unavailable"),
        ("418 Tea", "Teapot", BadUpstream, "files_failed"),
    ],
)
async def test_what_servers_answer_is_told_in_our_words(canned, open_files, monkeypatch, status, code, kind, expected):
    monkeypatch.setattr(wire, "ATTEMPTS", 1)
    body = f"<Error><Code>{code}</Code><Message>because</Message></Error>".encode()
    files = open_files(await canned(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body))
    with pytest.raises(kind) as told:
        await files.put("key", b"x")
    assert told.value.code == expected


async def test_a_wrong_secret_is_told(swift, rclone, open_files):
    for server in (swift, rclone):
        files = open_files(dataclasses.replace(server.settings("x/"), secret="wrong"))
        for attempt in (files.put("key", b"x"), files.stat("key"), files.read("key")):
            with pytest.raises(Unavailable) as refused:
                await attempt
            assert refused.value.code == "files_refused"
            assert "wrong" not in refused.value.detail
    assert "wrong" not in repr(files._settings)


async def test_a_server_that_is_not_there_is_told(open_files, rclone):
    files = open_files(dataclasses.replace(rclone.settings("x/"), endpoint="http://127.0.0.1:9"))
    with pytest.raises(Unavailable) as away:
        await files.stat("key")
    assert away.value.code == "files_unavailable"


async def test_a_black_hole_ends_in_a_time_out(rclone, open_files, monkeypatch):
    async with Proxy(rclone.port) as proxy:
        await open_files(rclone.settings("hole/")).put("key", b"x" * 12 * MIB)
        files = open_files(rclone.settings("hole/", port=proxy.port, timeout=3.0))
        reading = files.get("key")
        await anext(reading)
        monkeypatch.setattr(wire, "ATTEMPTS", 1)
        monkeypatch.setattr(wire, "SLOWEST", 16 * MIB)
        proxy.black_hole()
        for attempt in (_drain(reading), files.put("key", b"y"), files.put("key", b"y" * 20 * MIB), files.stat("key")):
            with pytest.raises(Unavailable) as away:
                await attempt
            assert away.value.code == "files_unavailable"
        monkeypatch.undo()
        proxy.heal()
        proxy.cut()
        assert await files.read("key") == b"x" * 12 * MIB


async def _drain(reading: AsyncIterator[bytes]) -> None:
    async for _ in reading:
        continue


async def test_links_need_nobody_in_between(on_swift):
    assert on_swift.capabilities.presign
    put, get = await on_swift.presign_put("in/数", 60), await on_swift.presign_get("in/数", 60)
    async with aiohttp.ClientSession() as anybody:
        async with anybody.put(URL(put, encoded=True), data=b"by link") as answer:
            assert answer.status == 200
        assert await on_swift.read("in/数") == b"by link"
        async with anybody.get(URL(get, encoded=True)) as answer:
            assert (answer.status, await answer.read()) == (200, b"by link")
            assert answer.headers["Content-Disposition"] == "attachment"
        async with anybody.put(URL(get, encoded=True), data=b"other") as answer:
            assert answer.status == 403
        brief = await on_swift.presign_get("in/数", 1)
        await asyncio.sleep(2.1)  # the server's clock decides, in whole seconds
        async with anybody.get(URL(brief, encoded=True)) as answer:
            assert answer.status == 403
    for seconds in (0, 8 * 24 * 3600):
        with pytest.raises(Invalid) as refused:
            await on_swift.presign_get("in/数", seconds)
        assert refused.value.code == "bad_link_time"


async def test_a_link_names_the_address_that_people_see(open_files, rclone):
    files = open_files(dataclasses.replace(rclone.settings("x/"), public="https://files.example"))
    assert (await files.presign_get("key", 60)).startswith("https://files.example/objects/x/objects/key?")


async def test_memory_stays_flat(on_rclone):
    me, peak = psutil.Process(), 0
    gc.collect()
    before = me.memory_info().rss

    async def watched(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        nonlocal peak
        async for chunk in chunks:
            peak = max(peak, me.memory_info().rss)
            yield chunk

    await on_rclone.put("large", watched(pieces(200)))
    size = 0
    async for chunk in watched(on_rclone.get("large")):
        size += len(chunk)
    assert size == 200 * MIB
    assert peak - before < 100 * MIB
