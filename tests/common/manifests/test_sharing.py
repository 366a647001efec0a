"""Storing only what an earlier list has not: the same files come out, and nothing is stored twice."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.files import LocalFiles
from common.manifests import MOST_SHARED, PackWriter, header, open_entry, read, share, sharing, store
from tests.common.manifests.test_pack import TREES


def packed(folder, content, pack_bytes=100):
    writer = PackWriter(folder, pack_bytes=pack_bytes)
    for path, data in content.items():
        writer.add_bytes(path, data)
    return writer.finish()


async def stored(files, folder, content, prefix, earlier=None, *, pack_bytes=100):
    """Store a list; over the packs of an earlier one where there is one. Gives its reference and its new bytes."""
    whole = packed(folder / prefix, content, pack_bytes)
    if earlier is None:
        return await store(files, whole, prefix), whole.bytes
    shared = share(whole, files.local_path(earlier.address), folder / prefix / "shared", pack_bytes=pack_bytes)
    ref = await store(files, shared.packed, prefix, before=shared.before)
    there = sum([info.size async for info in files.list(f"{prefix}/pack-")])
    assert there == shared.new_bytes
    assert ref.digest == whole.digest
    return ref, there


async def content_of(files, ref):
    found = {}
    async for entry in read(files, ref):
        found[entry.path] = b"".join([chunk async for chunk in open_entry(files, ref, entry)])
    return found


@pytest.mark.row("D12")
@settings(max_examples=60)
@given(versions=st.lists(TREES, min_size=2, max_size=4), pack_bytes=st.integers(1, 200))
async def test_what_is_shared_comes_out_as_it_went_in(tmp_path_factory, versions, pack_bytes):
    folder = tmp_path_factory.mktemp("lists")
    files = LocalFiles(folder / "files", sync=False)
    try:
        ref, refs = None, []
        for number, content in enumerate(versions):
            before = ref
            ref, new = await stored(files, folder, content, f"v{number}", before, pack_bytes=pack_bytes)
            refs.append(ref)
            known = set(versions[number - 1].values()) if before else set()
            assert new == sum(len(data) for data in content.values() if data not in known)
        for ref, content in zip(refs, versions, strict=True):
            assert await content_of(files, ref) == content
            objects = (await header(files, ref)).objects
            assert len(set(objects)) == len(objects)
    finally:
        await files.close()


@pytest.fixture
async def files(tmp_path):
    opened = LocalFiles(tmp_path / "files", sync=False)
    yield opened
    await opened.close()


MANY = {f"class-{number % 7}/{number:04}.txt": f"text number {number}".encode() * 5 for number in range(1000)}


@pytest.mark.row("D12")
async def test_files_with_other_names_are_no_new_bytes(files, tmp_path):
    first, _ = await stored(files, tmp_path, MANY, "v1", pack_bytes=10_000)
    renamed = {f"new/{path.upper()}": data for path, data in MANY.items()}
    second, new = await stored(files, tmp_path, renamed, "v2", first, pack_bytes=10_000)
    assert new == 0
    assert [info.key async for info in files.list("v2/")] == ["v2/index"]
    assert await content_of(files, second) == renamed


@pytest.mark.row("D12")
async def test_what_changed_is_gathered_into_one_pack(files, tmp_path):
    """One file of a hundred is another: of many packs, each a little new, there is one new pack."""
    first, whole = await stored(files, tmp_path, MANY, "v1", pack_bytes=10_000)
    changed = {
        path: b"other %d" % number if number % 100 == 0 else data for number, (path, data) in enumerate(MANY.items())
    }
    second, new = await stored(files, tmp_path, changed, "v2", first, pack_bytes=10_000)
    assert new < whole / 100
    assert [info.key async for info in files.list("v2/")] == ["v2/index", "v2/pack-0"]
    assert await content_of(files, second) == changed
    third, new = await stored(files, tmp_path, MANY, "v3", second, pack_bytes=10_000)
    assert 0 < new <= whole / 99, "only the newest version is looked at"
    assert await content_of(files, third) == MANY


async def test_packs_that_are_new_as_a_whole_are_not_copied(files, tmp_path):
    first, _ = await stored(files, tmp_path, {"a": b"a"}, "v1")
    whole = packed(tmp_path / "v2", {"a": b"a", **{f"b/{n}": bytes([n]) * 60 for n in range(4)}}, 100)
    inodes = [path.stat().st_ino for path in whole.objects[1:]]
    shared = share(whole, files.local_path(first.address), tmp_path / "v2" / "shared", pack_bytes=100)
    assert [path.stat().st_ino for path in shared.packed.objects[: len(inodes)]] == inodes
    assert not any(path.exists() for path in whole.objects)


async def test_what_would_be_scattered_is_stored_whole(files, tmp_path, monkeypatch):
    content = {f"f/{n}": bytes([n]) * 60 for n in range(9)}
    first, _ = await stored(files, tmp_path, content, "v1", pack_bytes=60)
    assert len((await header(files, first)).objects) == 9 < MOST_SHARED
    monkeypatch.setattr(sharing, "MOST_SHARED", 8)
    second, new = await stored(files, tmp_path, content | {"g": b"g"}, "v2", first, pack_bytes=1000)
    assert new == 9 * 60 + 1
    assert (await header(files, second)).objects == ("v2/pack-0",)
