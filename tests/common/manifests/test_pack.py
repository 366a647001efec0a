"""Packing: the digest depends on the content alone, whatever the order, the packs or the way in."""

import hashlib
import os
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.kernel.errors import Invalid, NotFound, Problem, StorageFull
from common.manifests import Entry, Header, Packed, PackWriter, check_path
from common.manifests.spool import Spool

NAME = st.sampled_from(["a", "b", "a-b", "a.b", "猫", "é", "x y", '"', "\\", "\t"])
PATH = st.lists(NAME, min_size=1, max_size=4).map("/".join)


def is_a_tree(paths):
    return not any(other.startswith(f"{path}/") for path in paths for other in paths)


TREES = st.dictionaries(PATH, st.binary(max_size=64), max_size=12).filter(is_a_tree)


def pack(folder: Path, content, *, pack_bytes=100, in_pieces=0) -> Packed:
    writer = PackWriter(folder, pack_bytes=pack_bytes)
    for path, data in content.items():
        if in_pieces:
            writer.add(path, [data[at : at + in_pieces] for at in range(0, len(data), in_pieces)])
        else:
            writer.add_bytes(path, data)
    return writer.finish()


def entries_of(packed: Packed) -> list[Entry]:
    return [Entry.parse(line) for line in packed.body.read_bytes().splitlines()]


def unpack(packed: Packed) -> dict[str, bytes]:
    packs = [path.read_bytes() for path in packed.objects]
    return {e.path: packs[e.object][e.offset : e.offset + e.size] for e in entries_of(packed)}


@pytest.mark.row("D12")
@given(content=TREES, pieces=st.integers(0, 30), pack_bytes=st.integers(1, 200), order=st.randoms())
def test_what_goes_in_comes_out_and_the_digest_is_that_of_the_content(
    tmp_path_factory, content, pieces, pack_bytes, order
):
    folder = tmp_path_factory.mktemp("packs")
    packed = pack(folder / "one", content, pack_bytes=pack_bytes, in_pieces=pieces)
    assert unpack(packed) == content
    shuffled = list(content.items())
    order.shuffle(shuffled)
    assert pack(folder / "two", dict(shuffled)).digest == packed.digest
    lines = [
        f"{path}\0{len(content[path])}\0{hashlib.sha256(content[path]).hexdigest()}\n".encode()
        for path in sorted(content, key=str.encode)
    ]
    assert packed.digest == "sha256:" + hashlib.sha256(b"".join(lines)).hexdigest()
    assert (packed.files, packed.bytes) == (len(content), sum(map(len, content.values())))
    assert [e.path for e in entries_of(packed)] == sorted(content, key=str.encode)
    assert packed.sizes == tuple(path.stat().st_size for path in packed.objects)


@given(content=TREES, pieces=st.integers(0, 7))
def test_a_pack_holds_at_most_its_size_or_one_file(tmp_path_factory, content, pieces):
    packed = pack(tmp_path_factory.mktemp("packs"), content, pack_bytes=50, in_pieces=pieces)
    for number, size in enumerate(packed.sizes):
        inside = [e for e in entries_of(packed) if e.object == number and e.size]
        assert size <= 50 or len(inside) == 1


@given(content=TREES, run=st.integers(1, 5))
def test_sorting_on_disk_is_sorting_in_memory(tmp_path_factory, content, run):
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, run=run)
    for n, path in enumerate(content):
        spool.add(Entry(path, n, "0" * 64, 0, n))
    spool.write(folder / "body")
    lines = (folder / "body").read_bytes().splitlines()
    assert [Entry.parse(line).path for line in lines] == sorted(content, key=str.encode)
    assert [path.name for path in folder.iterdir()] == ["body"]


def test_very_many_runs_need_few_open_files(tmp_path):
    spool = Spool(tmp_path, run=1)
    for number in range(200):
        spool.add(Entry(f"{number * 7 % 200:03}", number, "0" * 64, 0, 0))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 8, before[1]))
    try:
        assert spool.write(tmp_path / "body").files == 200
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("paths", "named"),
    [
        (("a", "b", "a"), "a"),
        (("a/b", "a"), "a"),
        (("a", "a-", "a.", "a/b/c"), "a"),
        (("x/y", "x/y-z", "x/y!", "x/y/z"), "x/y"),
    ],
)
@pytest.mark.parametrize("run", [1, 100])
def test_a_path_is_there_once_and_is_a_file_or_a_folder(tmp_path, paths, named, run):
    spool = Spool(tmp_path, run=run)
    for path in paths:
        spool.add(Entry(path, 0, "0" * 64, 0, 0))
    with pytest.raises(Invalid) as refused:
        spool.write(tmp_path / "body")
    assert refused.value.code == "duplicate_path"
    assert refused.value.faults[0].where == named


BAD = ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/.", "a\0", "\udcff", "e\u0301", "a" * 256]


@pytest.mark.parametrize("path", [*BAD, "数" * 86, "/".join(["a" * 200] * 11)])
def test_a_path_that_means_something_else_elsewhere_is_refused(tmp_path, path):
    writer = PackWriter(tmp_path)
    for attempt in (lambda: writer.add_bytes(path, b""), lambda: writer.add(path, [])):
        with pytest.raises(Invalid) as refused:
            attempt()
        assert refused.value.code == "bad_path"
    writer.close()


@pytest.mark.parametrize("path", ["a", "...", "a/..b/c..", ".hidden", "a b", "C:", "数" * 85, "\u00e9", "-", "a" * 255])
def test_an_odd_but_clear_path_is_taken(path):
    check_path(path)


def test_a_file_that_breaks_off_is_not_in_and_the_next_one_is(tmp_path):
    def broken(size):
        yield b"x" * size
        raise ValueError("cut off")

    writer = PackWriter(tmp_path, pack_bytes=3 << 20)
    writer.add_bytes("first", b"1" * 10)
    for size in (5, 2 << 20, 5 << 20):
        with pytest.raises(ValueError, match="cut off"):
            writer.add("broken", broken(size))
    writer.add("second", [b"2" * 10])
    packed = writer.finish()
    assert unpack(packed) == {"first": b"1" * 10, "second": b"2" * 10}
    assert sum(packed.sizes) == 20


def test_a_finished_folder_can_be_taken_up_again_and_an_unfinished_one_not(tmp_path):
    writer = PackWriter(tmp_path)
    writer.add_bytes("a", b"1")
    with pytest.raises(NotFound) as missing:
        Packed.load(tmp_path)
    assert missing.value.code == "packed_not_found"
    packed = writer.finish()
    assert Packed.load(tmp_path) == packed
    PackWriter(tmp_path).close()
    with pytest.raises(NotFound):
        Packed.load(tmp_path)


def test_a_known_checksum_is_not_computed_again(tmp_path):
    writer = PackWriter(tmp_path)
    assert writer.add_bytes("a", b"1", "f" * 64).sha256 == "f" * 64
    writer.close()


def test_a_full_disk_is_told(small_disk):
    writer = PackWriter(small_disk(2 << 20) / "packs")
    data = b"x" * 100_000

    def fill(add):
        for n in range(100):
            add(f"f{n}")

    for add in (lambda path: writer.add(path, [data]), lambda path: writer.add_bytes(path, data)):
        with pytest.raises(StorageFull) as full:
            fill(add)
        assert full.value.code == "storage_full"
    writer.close()


def test_packing_takes_the_same_memory_however_many_files(tmp_path):
    writer = PackWriter(tmp_path)
    for n in range(20_000):
        writer.add_bytes(f"folder-{n % 10}/file-{n:07d}", b"")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for n in range(20_000, 140_000):
        writer.add_bytes(f"folder-{n % 10}/file-{n:07d}", b"")
    assert writer.finish().files == 140_000
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 150 * 120_000, "bytes for each file"


def test_another_format_is_refused():
    good = Header(("p/pack-0",), 1, 2, "sha256:0")
    assert Header.parse(good.line()) == good
    for line in (b"", b"{}\n", b"[]", b'{"format":"modelyard.manifest/2"}', b"\xff"):
        with pytest.raises(Problem, match="damaged") as refused:
            Header.parse(line)
        assert refused.value.code == "manifest_corrupt"
    for line in (b"{}", b"nonsense", b"[1]"):
        with pytest.raises(Problem, match="damaged"):
            Entry.parse(line)
