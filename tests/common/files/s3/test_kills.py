"""What is left when the server, or the one who sends, dies at the worst moment."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from common.files.s3 import S3Files
from common.kernel.errors import NotFound, Unavailable
from common.kernel.ids import new_id
from common.ports.files import FileInfo

MIB = 1 << 20


@pytest.mark.parametrize("name", ["swift", "rclone"])
async def test_a_killed_server_has_the_old_object_or_none_and_uploads_go_on(request, name, open_files):
    server = request.getfixturevalue(name)
    settings = server.settings(f"{new_id('store')}/", timeout=5)
    files = open_files(settings)
    one, two = b"1" * 5 * MIB, b"2" * 5 * MIB

    async def until_it_dies() -> AsyncIterator[bytes]:
        for number in range(40):
            if number == 12:
                await asyncio.to_thread(server.kill)
            yield b"n" * MIB

    await files.put("kept", b"old")
    upload = await files.begin_upload("parts")
    await files.put_part(upload, 1, one)
    if name == "rclone":
        await _written_back(server.folder / "data" / settings.bucket / settings.prefix, len(b"old") + len(one))
    with pytest.raises(Unavailable) as died:
        await files.put("kept", until_it_dies())
    assert died.value.code == "files_unavailable"
    await asyncio.to_thread(server.start)
    assert await files.read("kept") == b"old"
    await files.put_part(upload, 2, two)
    info = await open_files(settings).complete_upload(upload, sha256=hashlib.sha256(one + two).hexdigest())
    assert info.sha256 == hashlib.sha256(one + two).hexdigest()
    assert await files.read("parts") == one + two
    assert [info.key async for info in files.list()] == ["kept", "parts"]


async def _written_back(folder: Path, size: int) -> None:
    """rclone writes back what it took a moment after it answers."""
    async with asyncio.timeout(120):
        while sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < size:
            await asyncio.sleep(0.02)


async def test_two_processes_complete_one_upload(on_swift, swift, open_files):
    upload = await on_swift.begin_upload("joined")
    size = on_swift.capabilities.smallest_part
    for number in (1, 2):
        await on_swift.put_part(upload, number, bytes([number]) * 6 * MIB * size)
    others = [open_files(swift.settings(on_swift._settings.prefix)) for _ in range(2)]
    infos = await asyncio.gather(*(files.complete_upload(upload) for files in (on_swift, *others)))
    assert {(info.key, info.size) for info in infos} == {("joined", 12 * MIB)}
    assert await on_swift.read("joined") == b"\1" * 6 * MIB + b"\2" * 6 * MIB


async def test_an_upload_leaves_nothing_but_its_outcome(on_swift, swift):
    upload = await on_swift.begin_upload("k")
    for content in (b"first", b"second"):
        await on_swift.put_part(upload, 1, content)
    await on_swift.complete_upload(upload)
    assert await left_of_uploads(on_swift) == ["about"]
    await on_swift.abort_upload(upload)
    assert await left_of_uploads(on_swift) == []


async def left_of_uploads(files: S3Files) -> list[str]:
    """The last names of all that is there of uploads."""
    found = files._wire.list(f"{files._settings.prefix}uploads/")
    return [name.rpartition("/")[2] async for name, _ in found]


async def test_completing_again_drops_what_a_kill_after_the_end_was_noted_left(on_swift, monkeypatch):
    async def broken_off(name: str) -> None:
        raise Unavailable("files_unavailable", "Nobody is there.")

    upload = await on_swift.begin_upload("k")
    for number in (1, 2):
        await on_swift.put_part(upload, number, b"content")
    with monkeypatch.context() as away:
        away.setattr(on_swift._wire, "delete", broken_off)
        with pytest.raises(Unavailable):
            await on_swift.complete_upload(upload)
    assert len(await left_of_uploads(on_swift)) == 1 + 2 + 2
    assert (await on_swift.complete_upload(upload)).size == 14
    assert await left_of_uploads(on_swift) == ["about"]


async def _complete_and_forget(files: S3Files, upload: str) -> None:
    await files.complete_upload(upload)
    await files.abort_upload(upload)


@pytest.mark.parametrize(
    ("end", "left"),
    [(S3Files.abort_upload, []), (S3Files.complete_upload, ["about"]), (_complete_and_forget, [])],
    ids=["aborted", "completed", "forgotten"],
)
async def test_a_part_still_on_its_way_when_its_upload_ends_leaves_nothing(on_swift, end, left):
    upload = await on_swift.begin_upload("k")
    await on_swift.put_part(upload, 1, b"first")

    async def ended_meanwhile() -> AsyncIterator[bytes]:
        yield b"sec"
        await end(on_swift, upload)
        yield b"ond"

    with pytest.raises(NotFound) as over:
        await on_swift.put_part(upload, 2, ended_meanwhile())
    assert over.value.code == "upload_not_found"
    assert await left_of_uploads(on_swift) == left


async def test_an_upload_aborted_while_its_object_is_made_does_not_come_back(on_swift, monkeypatch):
    upload = await on_swift.begin_upload("k")
    await on_swift.put_part(upload, 1, b"content")
    put = on_swift.put_named

    async def aborted_meanwhile(name: str, *args: Any, **more: Any) -> FileInfo:
        made = await put(name, *args, **more)
        await on_swift.abort_upload(upload)
        return made

    monkeypatch.setattr(on_swift, "put_named", aborted_meanwhile)
    with pytest.raises(NotFound) as over:
        await on_swift.complete_upload(upload)
    assert over.value.code == "upload_not_found"
    assert await left_of_uploads(on_swift) == []
