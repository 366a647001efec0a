"""Storing, finding and deleting sets of files."""

import asyncio
import os

import pytest

from common.contracts.shared import ManifestRef
from common.files import LocalFiles
from common.kernel.errors import Conflict, Invalid, NotFound, Problem
from common.manifests import (
    Packed,
    PackWriter,
    batches,
    delete,
    find,
    header,
    open_entry,
    read,
    store,
    store_bytes,
    store_folder,
    store_stream,
)

CONTENT = {"a.txt": b"alpha", "数据/猫.png": b"\x89PNG", "b/c/d": b"", "b/c/e": b"e" * 5000}


@pytest.fixture
async def files(tmp_path):
    made = LocalFiles(tmp_path / "store", sync=False)
    yield made
    await made.close()


def packed(folder, content=CONTENT, **how) -> Packed:
    writer = PackWriter(folder, **how)
    for path, data in content.items():
        writer.add_bytes(path, data)
    return writer.finish()


async def keys(files):
    return [info.key async for info in files.list()]


async def content_of(files, ref):
    return {
        entry.path: b"".join([chunk async for chunk in open_entry(files, ref, entry)])
        async for entry in read(files, ref)
    }


async def test_what_is_stored_is_read(files, tmp_path):
    ref = await store(files, packed(tmp_path / "w", pack_bytes=100), "datasets/one")
    assert ref.address == "datasets/one/index"
    assert (ref.files, ref.bytes) == (4, sum(map(len, CONTENT.values())))
    assert await content_of(files, ref) == CONTENT
    head = await header(files, ref)
    assert head.objects == ("datasets/one/pack-0", "datasets/one/pack-1")
    assert (head.digest, head.files, head.bytes) == (ref.digest, ref.files, ref.bytes)
    assert not packed_objects(tmp_path / "w")


def packed_objects(folder):
    return [path for path in folder.iterdir() if path.name.startswith("pack-")]


async def test_every_way_in_gives_the_same_digest(files, tmp_path):
    folder = tmp_path / "folder"
    for path, data in CONTENT.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    (folder / "empty").mkdir()

    def opener(data):
        async def chunks():
            for at in range(0, len(data), 7):
                yield data[at : at + 7]

        return chunks

    refs = [
        await store(files, packed(tmp_path / "w"), "one"),
        await store_folder(files, folder, "two"),
        await store_bytes(files, CONTENT, "three"),
        await store_stream(files, "four", [(p, 1, opener(d)) for p, d in CONTENT.items()], pack_bytes=2),
    ]
    assert len({ref.digest for ref in refs}) == 1
    for ref in refs:
        assert await content_of(files, ref) == CONTENT


async def test_an_empty_set_is_a_set(files):
    ref = await store_bytes(files, {}, "none")
    assert (ref.files, ref.bytes) == (0, 0)
    assert await content_of(files, ref) == {}
    with pytest.raises(NotFound):
        await find(files, ref, "a")


@pytest.mark.parametrize("killed_after", [0, 1, 2, 3])
async def test_storing_goes_on_after_a_kill(files, tmp_path, killed_after):
    content = {f"f{n}": bytes([n]) * 80 for n in range(3)}
    done = 0

    class Dying:
        def __getattr__(self, name):
            return getattr(files, name)

        async def put_file(self, *args, **kwargs):
            self.count()
            return await files.put_file(*args, **kwargs)

        async def put(self, *args, **kwargs):
            self.count()
            return await files.put(*args, **kwargs)

        def count(self):
            nonlocal done
            if done == killed_after:
                raise KeyboardInterrupt
            done += 1

    packed(tmp_path / "w", content, pack_bytes=100)
    with pytest.raises(KeyboardInterrupt):
        await store(Dying(), Packed.load(tmp_path / "w"), "x")
    assert "x/index" not in await keys(files)
    ref = await store(files, Packed.load(tmp_path / "w"), "x")
    assert await content_of(files, ref) == content
    assert await store(files, Packed.load(tmp_path / "w"), "x") == ref


async def test_lost_packs_are_noticed(files, tmp_path):
    made = packed(tmp_path / "w")
    made.objects[0].unlink()
    with pytest.raises(NotFound) as missing:
        await store(files, made, "x")
    assert missing.value.code == "packed_not_found"
    assert await keys(files) == []


async def test_without_move_the_packs_stay(files, tmp_path):
    made = packed(tmp_path / "w")
    await store(files, made, "x", move=False)
    assert packed_objects(tmp_path / "w") == list(made.objects)


async def test_a_prefix_holds_one_set_for_ever(files, tmp_path):
    ref = await store(files, packed(tmp_path / "one"), "x")
    with pytest.raises(Conflict) as refused:
        await store(files, packed(tmp_path / "two", {"other": b"1"}), "x")
    assert refused.value.code == "manifest_exists"
    assert await content_of(files, ref) == CONTENT


async def test_storing_the_same_twice_at_once_is_storing_it_once(files):
    refs = await asyncio.gather(*(store_bytes(files, CONTENT, "x") for _ in range(4)))
    assert len(set(refs)) == 1
    assert await content_of(files, refs[0]) == CONTENT


async def test_one_file_of_many_is_found_without_reading_the_list(files, tmp_path):
    writer = PackWriter(tmp_path / "w")
    names = [f"folder {n % 7}/{'长' * (n % 60)}{n:05d}" for n in range(6000)]
    for name in names:
        writer.add_bytes(name, name.encode())
    ref = await store(files, writer.finish(), "many")
    taken = 0

    class Counting:
        def __getattr__(self, name):
            return getattr(files, name)

        async def read(self, *args):
            nonlocal taken
            data = await files.read(*args)
            taken += len(data)
            return data

    size = (await files.stat(ref.address)).size
    ordered = sorted(names)
    for name in [ordered[0], ordered[1], ordered[-1], ordered[3000], *names[::400]]:
        taken = 0
        entry = await find(Counting(), ref, name)
        assert entry.path == name
        assert b"".join([c async for c in open_entry(files, ref, entry)]) == name.encode()
        assert taken < size / 3
    for name in ("", "a", "folder 3", "folder 3/", "zzz", ordered[5] + "x", ordered[0][:-1]):
        with pytest.raises(NotFound) as missing:
            await find(files, ref, name)
        assert missing.value.code == "file_not_found"


async def test_the_longest_lines_are_found_too(files):
    content = {f"{n:03d}" + "/".join(["\x01" * 250] * 8): b"x" for n in range(80)}
    ref = await store_bytes(files, content, "long")
    for path in content:
        assert (await find(files, ref, path)).path == path


@pytest.mark.parametrize(("start", "end"), [(0, None), (2, None), (2, 4), (0, 99), (9, None), (4, 2)])
async def test_a_part_of_a_file_is_read(files, start, end):
    ref = await store_bytes(files, {"a": b"before", "b": b"hello", "c": b"after"}, "x")
    entry = await find(files, ref, "b")
    assert b"".join([c async for c in open_entry(files, ref, entry, start, end)]) == b"hello"[start:end]


async def test_a_damaged_list_is_not_believed(files):
    ref = await store_bytes(files, CONTENT, "x")
    good = await files.read(ref.address)
    for bad in (good[:-1], good[:-30], good.replace(b'"s":5000', b'"s":4999'), b"", b"\n", good + b"{}\n"):
        await files.put(ref.address, bad)
        with pytest.raises(Problem) as told:
            await content_of(files, ref)
        assert told.value.code == "manifest_corrupt"


async def test_delete_takes_its_own_and_nothing_else(files):
    ref = await store_bytes(files, CONTENT, "x")
    inner = await store_bytes(files, {"a": b"1"}, "x/pack-1/inner")
    beside = await store_bytes(files, {"a": b"2"}, "xy")
    for _ in range(2):
        await delete(files, ref)
        with pytest.raises(NotFound):
            await header(files, ref)
    assert await content_of(files, inner) == {"a": b"1"}
    assert await content_of(files, beside) == {"a": b"2"}
    assert len(await keys(files)) == 4


async def test_delete_after_a_kill_takes_what_was_left(files):
    ref = await store_bytes(files, CONTENT, "x")
    await files.delete(ref.address)
    await delete(files, ref)
    assert await keys(files) == []


async def test_links_in_a_folder_are_refused_all_at_once(files, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "good").write_bytes(b"1")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    with pytest.raises(Invalid) as refused:
        await store_folder(files, folder, "x")
    assert [fault.where for fault in refused.value.faults] == ["link", "loop", "pipe"]
    assert await keys(files) == []


async def test_names_of_a_folder_are_normalised(files, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "e\u0301").write_bytes(b"1")
    ref = await store_folder(files, tmp_path / "folder", "x")
    assert await content_of(files, ref) == {"\u00e9": b"1"}


async def test_a_source_that_fails_publishes_nothing(files):
    async def broken():
        yield b"x"
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        await store_stream(files, "x", [("a", 1, broken)])
    assert await keys(files) == []


async def test_a_duplicate_publishes_no_list(files):
    async def one():
        yield b"1"

    with pytest.raises(Invalid):
        await store_stream(files, "x", [("a", 1, one), ("a", 1, one)])
    assert "x/index" not in await keys(files)


async def test_the_reference_is_all_that_one_needs(files):
    ref = await store_bytes(files, CONTENT, "x")
    assert await content_of(files, ManifestRef.model_validate_json(ref.model_dump_json())) == CONTENT


class Slowly:
    """A store whose chunks are as small as a network may make them."""

    def __init__(self, files: LocalFiles) -> None:
        self._files = files

    def __getattr__(self, name):
        return getattr(self._files, name)

    async def get(self, key, start=0, end=None):
        data = await self._files.read(key, start, end)
        for at in range(0, len(data), 7):
            yield data[at : at + 7]


async def test_batches_do_not_depend_on_how_a_store_sends_the_list(files):
    ref = await store_bytes(files, {f"{n:02d}": b"x" for n in range(10)}, "datasets/one")
    for store_of_it in (files, Slowly(files)):
        found = [[entry.path for entry in entries] async for entries in batches(store_of_it, ref, size=4)]
        assert found == [["00", "01", "02", "03"], ["04", "05", "06", "07"], ["08", "09"]]
