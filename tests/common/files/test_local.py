"""The `file:` adapter where it is more than the port: links, leftovers, full disks, kills."""

import asyncio
import errno
import fcntl
import hashlib
import itertools
import os
import random
import threading
import time
from functools import partial

import pytest

from common.files import LocalFiles, shelves
from common.files.draft import sweep
from common.kernel.errors import Conflict, Invalid, NotFound, StorageFull


@pytest.fixture
async def files(tmp_path):
    made = LocalFiles(tmp_path / "store", sync=False)
    yield made
    await made.close()


async def keys(files, prefix=""):
    return [info.key async for info in files.list(prefix)]


def drafts(folder):
    return sorted(path.name for path in (folder / "drafts").iterdir())


async def test_links_lead_nowhere(files, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    objects = tmp_path / "store" / "objects"
    (objects / "folder").symlink_to(outside)
    (objects / "file").symlink_to(outside / "secret")
    for key in ("folder/secret", "file"):
        with pytest.raises(NotFound):
            await files.read(key)
        with pytest.raises(NotFound):
            files.local_path(key)
    with pytest.raises(Conflict):
        await files.put("folder/new", b"x")
    await files.delete("folder/secret")
    await files.delete("file")
    assert await keys(files) == []
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    await files.put("file", b"now an object")
    assert (outside / "secret").read_bytes() == b"secret"


async def test_devices_and_pipes_are_no_objects(files, tmp_path):
    os.mkfifo(tmp_path / "store" / "objects" / "pipe")
    with pytest.raises(NotFound):
        await files.read("pipe")
    assert await keys(files) == []


async def test_a_key_below_an_object_or_above_others_is_a_conflict(files):
    await files.put("a/b", b"x")
    for key in ("a", "a/b/c"):
        with pytest.raises(Conflict) as refused:
            await files.put(key, b"y")
        assert refused.value.code == "key_conflict"
    assert await keys(files) == ["a/b"]


async def test_the_next_start_removes_drafts_of_the_dead_and_leaves_those_of_the_living(files, tmp_path):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow():
        yield b"x" * 2_000_000
        begun.set()
        await go_on.wait()

    task = asyncio.create_task(files.put("slow", slow()))
    await begun.wait()
    folder = tmp_path / "store"
    (folder / "drafts" / "dead").write_bytes(b"half")
    (folder / "drafts" / "upload").mkdir()
    for path in (folder / "drafts").iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    (folder / "drafts" / "young").write_bytes(b"half")
    await LocalFiles(folder).close()
    left = drafts(folder)
    assert "young" in left
    assert len(left) == 2
    go_on.set()
    await task
    assert await files.read("slow") == b"x" * 2_000_000


async def test_what_a_killed_writer_left_goes_when_an_upload_begins(files, tmp_path):
    dead, half, alive = (tmp_path / "store" / "drafts" / name for name in ("dead", "half", "alive"))
    (half / "parts-000").mkdir(parents=True)
    for path in (dead, half / "meta.json", half / "parts-000" / "part", alive):
        path.write_bytes(b"half")
    for path in (dead, half, alive):
        os.utime(path, (time.time() - 3600,) * 2)
    with alive.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        await files.begin_upload("x")
    assert drafts(tmp_path / "store") == ["alive"]


async def test_an_upload_can_be_aborted_while_a_sweep_takes_its_files(files, tmp_path, monkeypatch):
    upload = await files.begin_upload("x")
    await files.put_part(upload, 1, b"x")
    unlink, raced = os.unlink, list[str]()

    def swept_first(name, **how):
        if not raced and name == "meta.json":
            raced.append(name)
            for path in (tmp_path / "store" / "drafts").iterdir():
                os.utime(path, (time.time() - 3600,) * 2)
            sweep(tmp_path / "store" / "drafts")
        unlink(name, **how)

    monkeypatch.setattr(os, "unlink", swept_first)
    await files.abort_upload(upload)
    assert raced
    assert drafts(tmp_path / "store") == []


async def test_the_memory_of_completed_uploads_does_not_grow_for_ever(files, tmp_path):
    upload = await files.begin_upload("x")
    await files.put_part(upload, 1, b"x")
    await files.complete_upload(upload)
    done = tmp_path / "store" / "uploads" / upload / "done.json"
    assert sorted(path.name for path in done.parent.iterdir()) == ["done.json", "meta.json"]
    os.utime(done, (time.time() - 8 * 24 * 3600,) * 2)
    await files.begin_upload("y")
    assert not done.parent.exists()
    assert await files.read("x") == b"x"


@pytest.mark.parametrize("step", ["source", "finish"])
async def test_an_upload_aborted_while_its_object_is_made_is_not_found(files, monkeypatch, step):
    upload = await files.begin_upload("x")
    for number in (1, 2):
        await files.put_part(upload, number, b"x")
    taken = getattr(files._uploads, step)

    def after_it_was_aborted(*args):
        files._uploads.abort(upload)
        return taken(*args)

    monkeypatch.setattr(files._uploads, step, after_it_was_aborted)
    with pytest.raises(NotFound) as over:
        await files.complete_upload(upload)
    assert over.value.code == "upload_not_found"


async def test_a_full_disk_is_told_and_leaves_no_half_object(small_disk):
    folder = small_disk(4 << 20)
    files = LocalFiles(folder / "store")
    await files.put("small", b"kept")

    async def endless():
        for _ in range(64):
            yield b"x" * (1 << 20)

    upload = await files.begin_upload("up")
    for attempt in (
        files.put("big", endless()),
        files.put("big", b"x" * (8 << 20)),
        files.put_part(upload, 1, endless()),
    ):
        with pytest.raises(StorageFull) as full:
            await attempt
        assert full.value.code == "storage_full"
    assert await keys(files) == ["small"]
    assert list(await files.parts(upload)) == []
    assert drafts(folder / "store") == []
    await files.put("after", b"y" * (1 << 20))
    assert await files.read("small") == b"kept"
    await files.close()


async def test_an_upload_that_does_not_fit_twice_can_be_completed_when_there_is_room(small_disk):
    folder = small_disk(4 << 20)
    files = LocalFiles(folder / "store")
    ballast = folder / "ballast"
    ballast.write_bytes(b"b" * (3 << 20) if os.path.ismount(folder) else b"b" * 4096)
    upload = await files.begin_upload("up")
    size = 400_000 if os.path.ismount(folder) else 2_500_000
    await files.put_part(upload, 1, b"1" * size)
    await files.put_part(upload, 2, b"2" * size)
    with pytest.raises(StorageFull):
        await files.complete_upload(upload)
    assert await keys(files) == []
    assert drafts(folder / "store") == []
    assert len(await files.parts(upload)) == 2
    if os.path.ismount(folder):
        ballast.unlink()
        assert (await files.complete_upload(upload)).size == 2 * size
    await files.close()


async def test_parts_of_a_known_size_are_stored_once_and_completed_without_a_copy(small_disk):
    folder = small_disk(4 << 20)
    files = LocalFiles(folder / "store")
    upload = await files.begin_upload("up", part_bytes=900_000)
    parts = [bytes([number]) * 900_000 for number in range(3)]
    for number, content in enumerate(parts, 1):
        await files.put_part(upload, number, content)
    whole = b"".join(parts)  # more than half of the disk
    assert (await files.complete_upload(upload, sha256=hashlib.sha256(whole).hexdigest())).size == len(whole)
    assert await files.read("up") == whole
    assert sorted(path.name for path in (folder / "store" / "uploads" / upload).iterdir()) == ["done.json", "meta.json"]
    await files.close()


async def test_a_part_that_is_late_does_not_reach_the_object(files):
    upload = await files.begin_upload("up", part_bytes=2 << 20)
    await files.put_part(upload, 1, b"1" * (2 << 20))
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def late():
        yield b"2" * (1 << 20)
        begun.set()
        await go_on.wait()
        yield b"2" * (1 << 20)

    part = asyncio.create_task(files.put_part(upload, 2, late()))
    await begun.wait()
    await files.complete_upload(upload)
    go_on.set()
    with pytest.raises(NotFound):
        await part
    assert await files.read("up") == b"1" * (2 << 20)


async def test_whoever_is_cancelled_while_it_takes_something_gives_it_back(files, monkeypatch):
    """A place in the file, and the upload as a whole: kept, neither could be had again before the process ends."""
    upload = await files.begin_upload("up", part_bytes=100)
    for name, what in (
        ("place", partial(files.put_part, upload, 1, b"x")),
        ("lock", partial(files.complete_upload, upload)),
    ):
        real, taken, go_on = getattr(files._uploads, name), threading.Event(), threading.Event()

        def take(*arguments, real=real, taken=taken, go_on=go_on):
            found = real(*arguments)
            taken.set()
            go_on.wait(60)
            return found

        monkeypatch.setattr(files._uploads, name, take)
        task = asyncio.create_task(what())
        await asyncio.to_thread(taken.wait, 60)
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        monkeypatch.setattr(files._uploads, name, real)
        if name == "place":
            await files.put_part(upload, 1, b"y" * 30)
            assert files._uploads.parts(upload)[0].in_place
    await asyncio.wait_for(files.complete_upload(upload), 60)
    assert await files.read("up") == b"y" * 30


async def test_parts_that_were_noted_before_there_were_shelves_are_there_still(files, tmp_path):
    upload = await files.begin_upload("up", part_bytes=100)
    content = [bytes([number]) * 100 for number in range(3)]
    for number, part in enumerate(content[:2], 1):
        await files.put_part(upload, number, part)
    for note in list(files._uploads._folder.glob(f"{upload}/parts-*/*")):
        note.rename(note.parents[1] / note.name)
    assert [part.number for part in await files.parts(upload)] == [1, 2]
    await files.put_part(upload, 3, content[2])
    whole = hashlib.sha256(b"".join(content)).hexdigest()
    assert (await files.complete_upload(upload)).sha256 == whole
    assert sorted(path.name for path in (files._uploads._folder / upload).iterdir()) == ["done.json", "meta.json"]


async def test_how_far_it_is_without_a_gap_is_found_without_looking_at_all_that_is_behind_one(files, monkeypatch):
    upload = await files.begin_upload("up", part_bytes=10)
    for number in (2, 150, 250, 350, 10_000):
        await files.put_part(upload, number, b"x" * 10)
    looked = []
    real = shelves.noted

    def watched(folder, number):
        looked.append(number)
        return real(folder, number)

    monkeypatch.setattr(shelves, "noted", watched)
    assert files._uploads.in_order(upload)[1] == []
    assert set(looked) == {1}, "whoever hashes behind the parts may look there too"


async def test_a_part_that_broke_off_leaves_the_next_its_place_and_no_trace(files):
    upload = await files.begin_upload("up", part_bytes=100)

    async def broken():
        yield b"x" * 70
        raise ConnectionError

    for number in (1, 2):
        with pytest.raises(ConnectionError):
            await files.put_part(upload, number, broken())
    with pytest.raises(Invalid) as refused:
        await files.put_part(upload, 1, b"x" * 101)
    assert refused.value.code == "wrong_part_size"
    await files.put_part(upload, 1, b"y" * 30)
    await files.complete_upload(upload, sha256=hashlib.sha256(b"y" * 30).hexdigest())
    assert await files.read("up") == b"y" * 30


async def test_parts_written_past_the_page_cache_are_the_same_bytes(files, monkeypatch):
    size, content = 2 << 20, random.Random(3).randbytes((5 << 20) + 777)

    async def torn(part):
        cuts = [0, 1, 4097, 1_000_000, 1_500_001, len(part)]
        for begin, end in itertools.pairwise(cuts):
            yield part[begin:end]

    for page in (4096, 1):  # the second has the disk itself refuse what is no whole page
        monkeypatch.setattr("common.files.whole._PAGE", page)
        upload = await files.begin_upload("up", part_bytes=size)
        parts = [content[at : at + size] for at in range(0, len(content), size)]
        for number in (3, 1, 2):
            part = parts[number - 1]
            stored = await files.put_part(upload, number, torn(part) if len(part) == size else part)
            assert (stored.size, stored.sha256) == (len(part), hashlib.sha256(part).hexdigest())
        info = await files.complete_upload(upload, sha256=hashlib.sha256(content).hexdigest())
        assert info.size == len(content)
        assert await files.read("up") == content


async def test_where_no_file_is_written_past_the_page_cache_it_is_written_by_it(files, monkeypatch):
    opened, refused = os.open, []

    def no_direct(path, flags, *more, **how):
        if flags & os.O_DIRECT:
            refused.append(path)
            raise OSError(errno.EINVAL, "Invalid argument", str(path))
        return opened(path, flags, *more, **how)

    monkeypatch.setattr(os, "open", no_direct)
    upload = await files.begin_upload("up", part_bytes=1 << 20)
    await files.put_part(upload, 1, b"x" * (1 << 20))
    await files.complete_upload(upload)
    assert refused
    assert await files.read("up") == b"x" * (1 << 20)


PUTTING = """
    import asyncio, sys
    from pathlib import Path
    from common.files import LocalFiles

    async def main():
        files = LocalFiles(Path(sys.argv[1]), sync=False)
        async def slowly(byte):
            for _ in range(40):
                yield byte * 100_000
        print("begun", flush=True)
        for n in range(10_000):
            await files.put(f"objects/{n % 7}", slowly(bytes([n % 7 + 1])))
            upload = await files.begin_upload(f"uploaded/{n % 5}", part_bytes=n % 3 * 700_000 or None)
            for part in (1, 2):
                await files.put_part(upload, part, bytes([n % 5 + 1]) * 700_000)
            await files.complete_upload(upload)
    asyncio.run(main())
"""


async def test_a_kill_while_storing_leaves_only_whole_objects(tmp_path, child):
    moments = random.Random(8)
    for _ in range(5):
        writer = child(PUTTING, tmp_path / "store")
        assert writer.line() == "begun"
        await asyncio.sleep(moments.uniform(0.01, 0.2))
        writer.kill()
        files = LocalFiles(tmp_path / "store")
        for key in await keys(files):
            content = await files.read(key)
            assert len(content) == (4_000_000 if key.startswith("objects/") else 1_400_000)
            assert content == content[:1] * len(content)
        for upload in (tmp_path / "store" / "uploads").iterdir():
            parts = await files.parts(upload.name)
            assert all(part.size == 700_000 for part in parts)
            if len(parts) == 2:
                assert (await files.complete_upload(upload.name)).size == 1_400_000
        for leftover in (tmp_path / "store" / "drafts").iterdir():
            os.utime(leftover, (0, 0))
        await files.close()
        await LocalFiles(tmp_path / "store").close()
        assert drafts(tmp_path / "store") == []


async def test_reading_and_writing_take_memory_for_a_chunk_and_not_for_the_object(tmp_path, child):
    measured = child(
        """
        import asyncio, resource, sys
        from pathlib import Path
        from common.files import LocalFiles

        async def main():
            files = LocalFiles(Path(sys.argv[1]), sync=False)
            async def many():
                for _ in range(200):
                    yield b"x" * (1 << 20)
            await files.put("warm", b"x" * (1 << 20))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            await files.put("big", many())
            size = 0
            async for chunk in files.get("big"):
                size += len(chunk)
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(size, after - before, flush=True)
            await files.close()
        asyncio.run(main())
        """,
        tmp_path / "store",
    )
    size, grown = map(int, measured.line().split())
    assert size == 200 << 20
    assert grown < 24 * 1024, "kibibytes of growth for an object of 200 MiB"
