"""Names: GBK from Chinese Windows is understood and never mangled; litter is seen through."""

import struct
import zlib
from pathlib import Path

import pytest

from dataset_svc.archives import names
from tests.dataset_svc.archives.builder import Item, build, read

DOS, UNIX = 0, 3


@pytest.mark.row("D2")
def test_gbk_names_without_the_utf8_flag(tmp_path: Path) -> None:
    files = {"动物/猫/小猫一.txt": b"1", "动物/狗/小狗二.txt": b"2", "动物/誠/乗.txt": b"3"}
    items = [Item(path.encode("gb18030"), data, host=DOS) for path, data in files.items()]
    assert read(tmp_path / "a.zip", build(items)).files == {path.removeprefix("动物/"): d for path, d in files.items()}


def test_utf8_names_without_the_flag(tmp_path: Path) -> None:
    files = {"猫/一.txt": b"1", "狗/二.txt": b"2"}
    for host in (DOS, UNIX):
        items = [Item(path.encode(), data, host=host) for path, data in files.items()]
        assert read(tmp_path / "a.zip", build(items)).files == files


@pytest.mark.parametrize("name", ["小", "模", "魔", "支", "小模"])
def test_gbk_names_that_are_also_valid_utf8(tmp_path: Path, name: str) -> None:
    raw = name.encode("gb18030")
    assert raw.decode("utf-8") != name
    assert list(read(tmp_path / "a.zip", build([Item(b"a/" + raw, host=DOS), Item("b/1")])).files) == [
        f"a/{name}",
        "b/1",
    ]
    others = build([Item(b"a/" + raw, host=UNIX), Item("b/狗".encode("gb18030"), host=UNIX)])
    assert list(read(tmp_path / "a.zip", others).files) == [f"a/{name}", "b/狗"]


def test_flagged_and_unflagged_names_together(tmp_path: Path) -> None:
    content = build([Item("a/猫.txt"), Item("b/狗.txt".encode("gb18030"), host=DOS)])
    assert list(read(tmp_path / "a.zip", content).files) == ["a/猫.txt", "b/狗.txt"]


def test_the_unicode_path_field_of_info_zip(tmp_path: Path) -> None:
    raw = b"a/???.txt"
    right = struct.pack("<2HBL", 0x7075, 5 + 11, 1, zlib.crc32(raw)) + "a/猫狗.".encode() + b"\xe9\xb8"
    assert read(tmp_path / "a.zip", build([Item(raw, extra=right), Item("b/1")])).codes == ["name_encoding"]
    name = "a/猫狗鸟.txt".encode()
    right = struct.pack("<2HBL", 0x7075, 5 + len(name), 1, zlib.crc32(raw)) + name
    assert list(read(tmp_path / "a.zip", build([Item(raw, extra=right), Item("b/1")])).files) == ["a/猫狗鸟.txt", "b/1"]
    stale = struct.pack("<2HBL", 0x7075, 5 + len(name), 1, zlib.crc32(b"old")) + name
    assert list(read(tmp_path / "a.zip", build([Item(raw, extra=stale), Item("b/1")])).files) == ["a/???.txt", "b/1"]


def test_the_unicode_path_field_is_checked_as_a_name(tmp_path: Path) -> None:
    name = b"../evil"
    extra = struct.pack("<2HBL", 0x7075, 5 + len(name), 1, zlib.crc32(b"a/1")) + name
    assert read(tmp_path / "a.zip", build([Item(b"a/1", extra=extra)])).codes == ["path_traversal"]


@pytest.mark.row("D2")
def test_litter_of_operating_systems_is_seen_through(tmp_path: Path) -> None:
    litter = ["__MACOSX/ds/cat/._1.txt", "__MACOSX/", "ds/.DS_Store", "ds/cat/Thumbs.db", "ds/dog/desktop.ini", "._ds"]
    content = build(
        [
            Item("ds/cat/1.txt"),
            *(Item(name, b"" if name.endswith("/") else b"x") for name in litter),
            Item("ds/dog/1.txt"),
        ]
    )
    seen = read(tmp_path / "a.zip", content)
    assert seen.codes == []
    assert list(seen.files) == ["cat/1.txt", "dog/1.txt"]


def test_litter_does_not_hide_an_escape(tmp_path: Path) -> None:
    assert read(tmp_path / "a.zip", build([Item("__MACOSX/../../x"), Item("a/b")])).codes == ["path_traversal"]


@pytest.mark.parametrize(
    ("one", "other"), [("A", "a"), ("ß", "SS"), ("é", "E\u0301"), ("ﬁ", "FI"), ("Σ", "ς"), ("ΐ", "Ϊ\u0301")]
)
def test_fold(one: str, other: str) -> None:
    assert names.fold(one) == names.fold(other)


def test_what_is_obviously_safe_is_safe() -> None:
    for text in ("a/b.txt", "0/x y.tar.gz", "a/"):
        assert names.obviously_safe(text)
        assert names.what_is_wrong(text, 9) is None
        assert not names.is_litter(text)
    for text in (".x", "a/.x", "a//b", "/a", "a\\b", "a/..", "C:x", "a/\u732b", "a\n", "__MACOSX/x", "", "/"):
        assert not names.obviously_safe(text)
