"""What every file store must do. Adapters are listed in `ADAPTERS`; the tests don't know which one they run on.

An adapter is a class made from a test's request and an empty folder; its `open()` gives a client of the same store each
time.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.files import LocalFiles
from common.files.s3 import S3Files
from common.kernel.errors import Conflict, Invalid, NotFound
from common.kernel.ids import new_id
from common.ports.files import Files
from tests.servers.s3 import S3Server


class FileAdapter:
    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self.folder = folder / "store"

    async def open(self) -> Files:
        return LocalFiles(self.folder)


class S3Adapter:
    server = ""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        found: S3Server = request.getfixturevalue(self.server)
        self.settings = found.settings(f"{new_id('store')}/")

    async def open(self) -> Files:
        return S3Files(self.settings)


class RcloneAdapter(S3Adapter):
    server = "rclone"


class SwiftAdapter(S3Adapter):
    server = "swift"


ADAPTERS: dict[str, type[FileAdapter] | type[S3Adapter]] = {
    "file": FileAdapter,
    "s3-rclone": RcloneAdapter,
    "s3-swift": SwiftAdapter,
}


@pytest.fixture(params=ADAPTERS)
async def store(request, tmp_path):
    made = ADAPTERS[request.param](request, tmp_path)
    opened: list[Files] = []

    async def open_client() -> Files:
        opened.append(await made.open())
        return opened[-1]

    yield open_client
    for files in opened:
        await files.close()


@pytest.fixture
async def files(store) -> Files:
    return await store()


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def keys(files: Files, prefix: str = "") -> list[str]:
    return [info.key async for info in files.list(prefix)]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("key", ["a", "a/b/c", "数据/猫 1.png", "é" * 100, "x.y-z_0/…", "-", "a" * 255])
async def test_what_is_put_is_read(files, key):
    info = await files.put(key, b"hello")
    assert (info.key, info.size) == (key, 5)
    assert info.sha256 in (None, digest(b"hello"))
    assert await files.read(key) == b"hello"
    known = await files.stat(key)
    assert (known.key, known.size) == (key, 5)
    assert known.modified.tzinfo is not None
    assert await keys(files) == [key]


async def test_an_object_may_be_empty(files):
    await files.put("none", b"")
    assert await files.read("none") == b""
    assert [chunk async for chunk in files.get("none") if chunk] == []
    assert (await files.stat("none")).size == 0


async def test_chunks_become_one_object(files):
    pieces = [bytes([n]) * (300_000 + n) for n in range(12)]
    await files.put("big", chunks(*pieces, b""), sha256=digest(b"".join(pieces)))
    assert b"".join([chunk async for chunk in files.get("big")]) == b"".join(pieces)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 5, b"34"),
        (0, 0, b""),
        (5, 5, b""),
        (7, 3, b""),
        (8, 99, b"89"),
        (10, None, b""),
        (50, None, b""),
        (50, 60, b""),
    ],
)
async def test_a_range_is_what_lies_in_it(files, start, end, expected):
    await files.put("digits", b"0123456789")
    assert await files.read("digits", start, end) == expected
    assert b"".join([chunk async for chunk in files.get("digits", start, end)]) == expected


async def test_a_range_before_the_beginning_is_refused(files):
    await files.put("digits", b"0123456789")
    with pytest.raises(Invalid) as refused:
        await files.read("digits", -1)
    assert refused.value.code == "bad_range"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        "a\0b",
        "a\nb",
        "a\\b",
        "\ud800",
        "a" * 256,
        "a/" * 600 + "a",
    ],
)
async def test_a_bad_key_is_refused_everywhere(files, tmp_path, key):
    source = tmp_path / "source"
    source.write_bytes(b"x")
    for attempt in (
        files.put(key, b"x"),
        files.put_file(key, source),
        files.read(key),
        anext(files.get(key)),
        files.stat(key),
        files.delete(key),
        files.begin_upload(key),
    ):
        with pytest.raises(Invalid) as refused:
            await attempt
        assert refused.value.code == "bad_key"
    with pytest.raises(Invalid):
        files.local_path(key)
    assert await keys(files) == []


async def test_what_is_absent_is_not_found(files):
    await files.put("a/b", b"x")
    for key in ("c", "a", "a/b/c", "a/c"):
        for attempt in (files.read(key), files.stat(key), anext(files.get(key))):
            with pytest.raises(NotFound) as missing:
                await attempt
            assert missing.value.code == "file_not_found"
        await files.delete(key)
    assert await keys(files) == ["a/b"]


async def test_content_is_held_against_its_checksum(files):
    await files.put("kept", b"old")
    for content in (b"new", chunks(b"ne", b"w")):
        with pytest.raises(Invalid) as refused:
            await files.put("kept", content, sha256=digest(b"other"))
        assert refused.value.code == "checksum_mismatch"
    assert await files.read("kept") == b"old"
    await files.put("kept", b"new", sha256=digest(b"new").upper())
    assert await files.read("kept") == b"new"


async def test_a_put_whose_source_fails_leaves_nothing(files):
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        raise RuntimeError("the sender went away")

    await files.put("kept", b"old")
    for key in ("kept", "new"):
        with pytest.raises(RuntimeError):
            await files.put(key, broken())
    assert await keys(files) == ["kept"]
    assert await files.read("kept") == b"old"


async def test_a_cancelled_put_leaves_nothing(files):
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1_000_000
            begun.set()

    task = asyncio.create_task(files.put("new", endless()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await keys(files) == []


async def test_only_the_first_of_many_is_put_if_absent(files):
    outcomes = await asyncio.gather(
        *(files.put("one", f"{n}".encode(), if_absent=True) for n in range(8)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
    assert len(refused) == 7
    assert {problem.code for problem in refused} == {"file_exists"}
    winner = next(n for n, outcome in enumerate(outcomes) if not isinstance(outcome, Exception))
    assert await files.read("one") == f"{winner}".encode()


async def test_a_reader_sees_the_old_or_the_new_and_never_a_mixture(files):
    old, new = b"o" * 3_000_000, b"n" * 3_000_000
    await files.put("shared", old)
    reading = files.get("shared")
    seen = await anext(reading)
    await files.put("shared", new)
    seen += b"".join([chunk async for chunk in reading])
    assert seen == old
    assert await files.read("shared") == new


async def test_puts_of_one_key_at_once_leave_one_of_them(files):
    contents = [bytes([n]) * 100_000 for n in range(6)]
    await asyncio.gather(*(files.put("raced", content) for content in contents))
    assert await files.read("raced") in contents


async def test_a_local_file_is_copied_or_moved_in(files, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"content" * 1000)
    assert (await files.put_file("copied", source)).size == 7000
    assert source.exists()
    await files.put_file("moved/in", source, move=True)
    assert not source.exists()
    assert await files.read("copied") == await files.read("moved/in") == b"content" * 1000


async def test_only_a_regular_file_is_taken_in(files, tmp_path):
    (tmp_path / "secret").write_bytes(b"s")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    for path in (tmp_path / "link", tmp_path, tmp_path / "absent"):
        with pytest.raises(Invalid) as refused:
            await files.put_file("x", path, move=True)
        assert refused.value.code == "not_a_file"
    assert await keys(files) == []


async def test_keys_are_listed_in_their_order(files):
    stored = ["a/b", "a-b", "a.b", "a0", "a/b0/c", "a/b/c0".replace("b/", "b1/"), "z", "É", "数/据", "B", "a/é"]
    for key in stored:
        await files.put(key, key.encode())
    expected = sorted(stored, key=str.encode)
    assert await keys(files) == expected
    for prefix in ("a", "a/", "a/b", "a/b0/", "z", "zz", "数", "b", "a/b0/c", "a/b0/cd", "nothing/here"):
        assert await keys(files, prefix) == [key for key in expected if key.startswith(prefix)], prefix
    assert [info.size async for info in files.list("数")] == [len("数/据".encode())]


@pytest.mark.parametrize("prefix", ["/", "../", "a//", "a/../b", "\0"])
async def test_a_prefix_that_no_key_has_is_refused(files, prefix):
    with pytest.raises(Invalid):
        await keys(files, prefix)


async def test_delete_is_idempotent_and_leaves_the_neighbours(files):
    for key in ("a/b/c", "a/b/d", "a/e"):
        await files.put(key, b"x")
    await files.delete("a/b/c")
    await files.delete("a/b/c")
    assert await keys(files) == ["a/b/d", "a/e"]
    await files.delete("a/b/d")
    await files.delete("a/e")
    assert await keys(files) == []
    await files.put("a", b"where a folder was")
    assert await keys(files) == ["a"]


async def test_puts_and_deletes_beside_each_other_never_fail(files, request):
    stays = []
    if "rclone" in request.node.name:
        # rclone (not the port) hangs for good where one request removes an empty folder and another makes it again
        await files.put("deep/er/still/stays", b"x")
        stays = ["deep/er/still/stays"]

    async def churn(number: int) -> None:
        for _ in range(15):
            await files.put(f"deep/er/still/{number}", b"x")
            await files.delete(f"deep/er/still/{number}")

    await asyncio.gather(*(churn(number) for number in range(6)))
    assert await keys(files) == stays


async def test_an_upload_in_parts_survives_a_restart(store):
    first = await store()
    size = first.capabilities.smallest_part
    one, two, three = b"1" * (size + 10), b"2" * (size + 7), b"3"
    upload = await first.begin_upload("up/loaded")
    await first.put_part(upload, 2, chunks(two[:5], two[5:]))
    part = await first.put_part(upload, 1, one)
    assert (part.number, part.size, part.sha256) == (1, len(one), digest(one))
    second = await store()
    await second.put_part(upload, 3, three)
    assert [(p.number, p.size, p.sha256) for p in await second.parts(upload)] == [
        (1, len(one), digest(one)),
        (2, len(two), digest(two)),
        (3, 1, digest(three)),
    ]
    assert await keys(second) == []
    info = await second.complete_upload(upload, sha256=digest(one + two + three))
    assert (info.key, info.size) == ("up/loaded", len(one + two + three))
    assert await first.read("up/loaded") == one + two + three


async def test_parts_of_a_known_size_come_in_any_order_and_again(store):
    first = await store()
    size = first.capabilities.smallest_part + 3
    content = [bytes([65 + number]) * size for number in range(3)] + [b"end"]
    upload = await first.begin_upload("up", part_bytes=size)
    await first.put_part(upload, 4, content[3])
    await first.put_part(upload, 2, b"?" * size)
    await asyncio.gather(first.put_part(upload, 1, content[0]), first.put_part(upload, 3, chunks(content[2])))
    with pytest.raises(Invalid):
        await first.put_part(upload, 2, b"!" * size, sha256=digest(b"other"))
    second = await store()
    await second.put_part(upload, 2, content[1])
    assert [(p.number, p.size) for p in await second.parts(upload)] == [(1, size), (2, size), (3, size), (4, 3)]
    with pytest.raises(Invalid):
        await second.complete_upload(upload, sha256=digest(b"z"))
    info = await second.complete_upload(upload, sha256=digest(b"".join(content)))
    assert (info.size, info.sha256) == (3 * size + 3, digest(b"".join(content)))
    assert await first.read("up") == b"".join(content)


async def test_a_part_sent_again_replaces_the_earlier(files):
    upload = await files.begin_upload("x")
    await files.put_part(upload, 1, b"first try")
    await files.put_part(upload, 1, b"second")
    assert [part.size for part in await files.parts(upload)] == [6]
    await files.complete_upload(upload)
    assert await files.read("x") == b"second"


async def test_completing_twice_is_completing_once(store):
    files = await store()
    upload = await files.begin_upload("x")
    await files.put_part(upload, 1, b"content")
    first = await files.complete_upload(upload)
    again = await (await store()).complete_upload(upload)
    assert (again.key, again.size) == (first.key, first.size) == ("x", 7)
    with pytest.raises(NotFound) as over:
        await files.put_part(upload, 2, b"late")
    assert over.value.code == "upload_not_found"
    assert await files.read("x") == b"content"


async def test_completing_at_the_same_time_is_completing_once(files):
    upload = await files.begin_upload("k")
    for number in range(1, 30):
        await files.put_part(upload, number, b"%d;" % number)
    infos = await asyncio.gather(*(files.complete_upload(upload) for _ in range(5)))
    assert {(info.key, info.size) for info in infos} == {("k", len(await files.read("k")))}
    assert (await files.read("k")).startswith(b"1;2;3;")


async def test_a_part_is_held_against_its_checksum(files):
    upload = await files.begin_upload("k")
    first = await files.put_part(upload, 1, b"right", sha256=hashlib.sha256(b"right").hexdigest().upper())
    with pytest.raises(Invalid) as refused:
        await files.put_part(upload, 1, b"wrong", sha256=hashlib.sha256(b"right").hexdigest())
    assert refused.value.code == "checksum_mismatch"
    assert list(await files.parts(upload)) == [first]


async def test_an_upload_with_a_gap_or_without_parts_is_not_complete(files):
    upload = await files.begin_upload("x")
    with pytest.raises(Conflict) as empty:
        await files.complete_upload(upload)
    assert empty.value.code == "upload_incomplete"
    await files.put_part(upload, 3, b"c")
    await files.put_part(upload, 1, b"a")
    with pytest.raises(Conflict) as gap:
        await files.complete_upload(upload)
    assert gap.value.extra["missing"] == [2]
    assert await keys(files) == []


async def test_a_wrong_checksum_keeps_the_parts(files):
    upload = await files.begin_upload("x")
    size = files.capabilities.smallest_part
    await files.put_part(upload, 1, b"a" * size)
    with pytest.raises(Invalid):
        await files.complete_upload(upload, sha256=digest(b"z"))
    await files.put_part(upload, 2, b"b")
    with pytest.raises(Invalid):
        await files.complete_upload(upload, sha256=digest(b"z"))
    assert await keys(files) == []
    await files.complete_upload(upload, sha256=digest(b"a" * size + b"b"))
    assert await files.read("x") == b"a" * size + b"b"


@pytest.mark.parametrize("number", [0, -1, 10_001])
async def test_a_parts_number_has_bounds(files, number):
    upload = await files.begin_upload("x")
    with pytest.raises(Invalid) as refused:
        await files.put_part(upload, number, b"x")
    assert refused.value.code == "bad_part_number"


@pytest.mark.parametrize("upload", ["upload-01arz3ndektsv4rrffq69g5fav", "../../etc", "", "x"])
async def test_an_unknown_upload_is_not_found(files, upload):
    for attempt in (files.put_part(upload, 1, b"x"), files.parts(upload), files.complete_upload(upload)):
        with pytest.raises(NotFound) as missing:
            await attempt
        assert missing.value.code == "upload_not_found"
    await files.abort_upload(upload)


async def test_an_aborted_upload_is_gone(files):
    upload = await files.begin_upload("x")
    await files.put_part(upload, 1, b"x")
    await files.abort_upload(upload)
    await files.abort_upload(upload)
    with pytest.raises(NotFound):
        await files.complete_upload(upload)
    assert await keys(files) == []


@pytest.mark.parametrize("end", ["abort_upload", "complete_upload"])
async def test_a_part_still_on_its_way_when_its_upload_ends_is_refused(files, end):
    upload = await files.begin_upload("x")
    await files.put_part(upload, 1, b"first")

    async def ended_meanwhile() -> AsyncIterator[bytes]:
        yield b"sec"
        await getattr(files, end)(upload)
        yield b"ond"

    with pytest.raises(NotFound) as over:
        await files.put_part(upload, 2, ended_meanwhile())
    assert over.value.code == "upload_not_found"
    assert [await files.read(key) for key in await keys(files)] == ([] if end == "abort_upload" else [b"first"])


async def test_a_local_path_is_there_where_the_adapter_says_so(files):
    await files.put("a/b", b"here")
    path = files.local_path("a/b")
    assert (path is not None) == files.capabilities.local_paths
    if path is not None:
        assert path.read_bytes() == b"here"
