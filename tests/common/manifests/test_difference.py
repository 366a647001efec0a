"""How two lists of files differ, held against dictionaries; paged, and without keeping a list in memory."""

import hashlib
import tracemalloc
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.kernel.errors import Problem
from common.manifests import Entry, Header
from common.manifests.difference import Change, Total, compare, page, totals
from tests.common.manifests.test_pack import NAME, TREES


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def index(path, content, *, packs=("p",), scatter=0):
    """An index file of this content; `scatter` moves the bytes elsewhere."""
    lines = [Header(packs, len(content), 0, "sha256:x").line()]
    for number, name in enumerate(sorted(content, key=str.encode)):
        data = content[name]
        lines.append(Entry(name, len(data), sha(data), 0, number * 100 + scatter).line())
    path.write_bytes(b"".join(lines))
    return path


def expected(old, new):
    """The same, told in another way."""
    gone = {p for p in old if p not in new}
    come = {p for p in new if p not in old}
    found = {p: Change.CHANGED for p in old if p in new and old[p] != new[p]}
    left, right = Counter(old[p] for p in gone), Counter(new[p] for p in come)
    both = left & right
    counts = Counter(found.values())
    counts[Change.RENAMED] = both.total()
    counts[Change.ADDED] = len(come) - both.total()
    counts[Change.REMOVED] = len(gone) - both.total()
    return found, gone, come, {kind: counts[kind] for kind in Change}


FILES = st.dictionaries(NAME, st.sampled_from([b"", b"a", b"b", b"cc"]), max_size=8)


@pytest.mark.row("D12")
@given(old=FILES, new=FILES)
@example(old={"a": b"a", "b": b"b"}, new={"a": b"b", "b": b"a"})
@example(old={"a": b"a", "b": b"a"}, new={"猫": b"a"})
@example(old={"x y": b"", '"': b""}, new={"x y": b"", '"': b"", "\\": b""})
def test_every_difference_is_found_once(tmp_path_factory, old, new):
    folder = tmp_path_factory.mktemp("lists")
    result = folder / "result"
    compare(index(folder / "old", old), index(folder / "new", new, scatter=7), result)
    changed, gone, come, counts = expected(old, new)
    assert {kind: total.files for kind, total in totals(result).items()} == counts
    found = page(result, None, "", 100)
    assert [item.path for item in found] == sorted({item.path for item in found}, key=str.encode)
    for item in found:
        if item.kind == Change.CHANGED:
            assert (item.sha256, item.earlier_size, item.size) == (
                sha(new[item.path]),
                len(old[item.path]),
                len(new[item.path]),
            )
        elif item.kind == Change.RENAMED:
            assert item.path in come
            assert item.earlier_path in gone
            assert old[item.earlier_path] == new[item.path]
        elif item.kind == Change.ADDED:
            assert item.path in come
            assert item.size == len(new[item.path])
            assert item.earlier_size is None
        else:
            assert item.path in gone
            assert item.earlier_size == len(old[item.path])
            assert item.size is None
    assert {item.path for item in found if item.kind == Change.CHANGED} == set(changed)
    assert sorted(path.name for path in folder.iterdir()) == ["new", "old", "result"]


@given(content=TREES)
def test_where_the_bytes_are_is_no_difference(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("lists")
    old = index(folder / "old", content)
    new = index(folder / "new", content, packs=("q", "r"), scatter=9)
    compare(old, new, folder / "result")
    assert page(folder / "result", None, "", 10) == []
    assert set(totals(folder / "result").values()) == {Total()}


def test_pages_follow_one_another(tmp_path):
    old = {f"a/{number:03}": b"old" for number in range(50)}
    new = {f"b/{number:03}": b"old" for number in range(50)} | {f"c/{number:03}": b"new" for number in range(30)}
    compare(index(tmp_path / "old", old), index(tmp_path / "new", new), tmp_path / "result")
    for kind, count in ((None, 80), (Change.RENAMED, 50), (Change.ADDED, 30), (Change.REMOVED, 0)):
        seen, after = [], ""
        while found := page(tmp_path / "result", kind, after, 7):
            seen += [item.path for item in found]
            after = seen[-1]
        assert len(seen) == len(set(seen)) == count
        assert seen == sorted(seen)


@pytest.mark.parametrize("damage", [b'{"p":"a"', b'{"p":"a","s":1,"h":"x","o":', b"\xff\n"])
def test_a_damaged_list_is_told(tmp_path, damage):
    old = index(tmp_path / "old", {"a": b"a", "b": b"b"})
    new = index(tmp_path / "new", {"a": b"a"})
    new.write_bytes(new.read_bytes() + damage)
    with pytest.raises(Problem) as told:
        compare(old, new, tmp_path / "result")
    assert told.value.code == "manifest_corrupt"


def test_a_long_list_takes_no_memory(tmp_path):
    content = {f"{number:06}": str(number).encode() for number in range(30_000)}
    moved = {f"x{path}": data for path, data in content.items()}
    old, new = index(tmp_path / "old", content), index(tmp_path / "new", moved)
    del content, moved
    tracemalloc.start()
    compare(old, new, tmp_path / "result")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert totals(tmp_path / "result")[Change.RENAMED].files == 30_000
    assert peak < 8 << 20
