"""Every way in which an archive can lie ends in a finding with a stable code that names the member."""

import zlib
from pathlib import Path

import pytest

from dataset_svc.archives import Limits
from tests.dataset_svc.archives.builder import UTF8, Item, build, deflate, read

GOOD = Item("cat/1.txt", b"meow")
BIG = bytes(range(256)) * 4096
BAD_MEMBERS = [
    (Item("../evil"), "path_traversal"),
    (Item("cat/../../evil"), "path_traversal"),
    (Item("cat/.."), "path_traversal"),
    (Item("../"), "path_traversal"),
    (Item("/etc/passwd"), "path_absolute"),
    (Item("//server/share"), "path_absolute"),
    (Item("C:/windows/evil"), "path_drive"),
    (Item("c:evil"), "path_drive"),
    (Item("cat\\..\\evil"), "path_backslash"),
    (Item("cat\\1.txt"), "path_backslash"),
    (Item("cat//1.txt"), "path_empty_component"),
    (Item("./cat/1.txt"), "path_empty_component"),
    (Item(""), "path_empty_component"),
    (Item("cat/a\nb.txt"), "path_control"),
    (Item("cat/a\0.txt"), "path_control"),
    (Item("cat/a\x9b2J.txt"), "path_control"),
    (Item(f"cat/{'n' * 256}"), "path_too_long"),
    (Item("cat/" + "字" * 86), "path_too_long"),
    (Item("/".join(["n" * 200] * 11)), "path_too_long"),
    (Item("/".join("d" * 33)), "path_too_deep"),
    (Item(b"cat/\xff\xff\xff.txt"), "name_encoding"),
    (Item(b"cat/\xd6\xd0.txt", flags=UTF8), "name_encoding"),
    (Item("cat/link", b"/etc/passwd", mode=0o120777), "link"),
    (Item("cat/link/", b"", mode=0o120777), "link"),
    (Item("cat/sda", b"", mode=0o060660), "special_file"),
    (Item("cat/tty", b"", mode=0o020660), "special_file"),
    (Item("cat/pipe", b"", mode=0o010660), "special_file"),
    (Item("cat/socket", b"", mode=0o140660), "special_file"),
    (Item("cat/secret", flags=0x0001), "encrypted"),
    (Item("cat/secret", flags=0x0041), "encrypted"),
    (Item("cat/secret", flags=0x2000), "encrypted"),
    (Item("cat/secret", method=99), "encrypted"),
    (Item("cat/patch", flags=0x0020), "unsupported_method"),
    (Item("cat/deflate64", method=9), "unsupported_method"),
    (Item("cat/zstd", method=93), "unsupported_method"),
    (Item("cat/unknown", method=77), "unsupported_method"),
    (Item("cat/sub/", b"content"), "damaged"),
    (Item("cat/lie", b"x" * 50, size=49), "size_mismatch"),
    (Item("cat/lie", b"x" * 50, size=51), "size_mismatch"),
    (Item("cat/lie", b"x" * 50, size=0), "size_mismatch"),
    (Item("cat/lie", b"x" * 50, method=0, size=49), "size_mismatch"),
    (Item("cat/crc", b"hello", crc=1), "crc_mismatch"),
    (Item("cat/crc", b"hello", method=0, crc=1), "crc_mismatch"),
    (Item("cat/broken", b"hello", packed=b"\xff" * 9), "damaged_member"),
    (Item("cat/trailing", b"hello", packed=deflate(b"hello") + b"more"), "size_mismatch"),
    (Item("cat/cut", b"hello" * 9, packed=deflate(b"hello" * 9)[:-3]), "size_mismatch"),
    (Item("cat/big", BIG, size=len(BIG) - 1), "size_mismatch"),
    (Item("cat/big", BIG, size=len(BIG) + 1), "size_mismatch"),
    (Item("cat/big", BIG, method=0, size=len(BIG) - 1), "size_mismatch"),
    (Item("cat/big", BIG, crc=1), "crc_mismatch"),
    (Item("cat/big", BIG, packed=deflate(BIG)[:-9]), "damaged_member"),
    (Item("cat/big", BIG, packed=b"\xff" * 600_000), "damaged_member"),
    (Item("cat/bz2", b"hello", method=12), "damaged_member"),
    (Item("cat/lzma", b"hello", method=14), "size_mismatch"),
    (Item("cat/lzma", b"x", method=14, packed=b"\0\0\5\0\x5d\xff\xff\xff\x7f" + b"\0" * 20), "damaged_member"),
]
"""Each with the code of what is wrong with it."""
ONE_NAME = [
    ("cat/1.txt", "cat/1.txt"),
    ("cat/1.txt", "cat/1.TXT"),
    ("cat/é.txt", "cat/e\u0301.txt"),
    ("cat/Straße.txt", "cat/STRASSE.txt"),
    ("cat/İ.txt", "cat/i̇.txt"),
    ("cat/a", "cat/a/1.txt"),
    ("cat/a/1.txt", "cat/A"),
    ("cat/1.txt", "Cat/2.txt"),
    ("Ｃat/é/1.txt", "Ｃat/e\u0301/2.txt".upper()),
    ("a", "a"),
]
"""Two names that some file system takes for one."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.zip"


@pytest.mark.row("D2")
@pytest.mark.parametrize(
    ("item", "code"),
    BAD_MEMBERS,
    ids=lambda value: ascii(value.name)[:30] if isinstance(value, Item) else value,
)
def test_a_bad_member_is_named_and_left_out(path: Path, item: Item, code: str) -> None:
    seen = read(path, build([GOOD, item, Item("dog/1.txt", b"woof")]))
    assert seen.codes == [code]
    assert seen.files == {"cat/1.txt": b"meow", "dog/1.txt": b"woof"}
    shown = item.name if isinstance(item.name, str) else item.name.decode("gb18030", "backslashreplace")
    assert seen.findings[0].file in (shown, item.raw_name().decode("ascii", "backslashreplace"))
    assert seen.findings[0].reason.endswith(".")


@pytest.mark.row("D2")
@pytest.mark.parametrize(("first", "second"), ONE_NAME)
def test_names_that_some_file_system_takes_for_one(path: Path, first: str, second: str) -> None:
    seen = read(path, build([Item(first), Item("other/x"), Item(second)]))
    assert set(seen.codes) == {"duplicate_name"}
    assert seen.findings[0].reason.endswith(("Rename one of them.", "Keep one."))


def test_overlapping_members_of_one_kernel(path: Path) -> None:
    """The bomb of 2019 (Fifield): many directory entries share one run of data."""
    kernel = Item("cat/kernel", b"\0" * 100_000)
    seen = read(path, build([kernel, *(Item(f"cat/{n}", b"", packed=b"", offset=0) for n in range(3))]))
    assert seen.codes == ["overlap"]
    assert seen.files == {}


def test_overlapping_by_quoting_local_headers(path: Path) -> None:
    """The same bomb's full form: each member's data is a stored block that quotes the next one's header."""
    inner = Item("b", b"payload" * 50)
    quoted = inner.local()
    block = b"\x00" + len(quoted).to_bytes(2, "little") + (len(quoted) ^ 0xFFFF).to_bytes(2, "little") + quoted
    outer = Item("a", quoted, packed=block + b"\x03\x00")
    inner.offset = 30 + 1 + 5
    content = build([outer, inner])
    assert read(path, content).codes == ["overlap"]


def test_overlap_by_a_local_extra_field(path: Path) -> None:
    """Only the local header shows it: its extra field moves the data into the next member."""
    first, second = Item("cat/1", b"a" * 30, method=0), Item("cat/2", b"b" * 30, method=0)
    content = bytearray(build([first, second]))
    content[28:30] = (20).to_bytes(2, "little")
    assert "overlap" in read(path, bytes(content)).codes


def test_overlap_in_a_directory_out_of_order(path: Path) -> None:
    items = [Item("cat/1", b"a" * 30, method=0), Item("cat/2"), Item("cat/3")]
    items[0].packed_size = items[0].size = 80
    assert read(path, build(items, order=[2, 0, 1])).codes == ["overlap"]
    items[0].packed_size = items[0].size = None
    content = bytearray(build(items, order=[2, 0, 1]))
    content[28:30] = (20).to_bytes(2, "little")
    assert "overlap" in read(path, bytes(content)).codes


def test_overlap_with_the_directory(path: Path) -> None:
    assert read(path, build([GOOD, Item("cat/2", packed_size=500)])).codes == ["overlap"]


@pytest.mark.parametrize("name", ["local_name", "local_method", "local_flags"])
def test_local_header_that_contradicts_the_directory(path: Path, name: str) -> None:
    item = Item("cat/2")
    setattr(item, name, {"local_name": b"cat/3", "local_method": 0, "local_flags": 1}[name])
    seen = read(path, build([GOOD, item]))
    assert seen.codes == ["damaged"]
    assert seen.refused is not None
    assert seen.refused.file == "cat/2"


def test_member_that_is_not_where_it_should_be(path: Path) -> None:
    item = Item("cat/2", b"long enough", method=0, packed=b"long enough", packed_size=3, size=3)
    build([GOOD, item])
    item.offset = item.at + 2
    assert read(path, build([GOOD, item])).codes == ["damaged"]


@pytest.mark.row("D2")
def test_a_ratio_bomb_is_refused_before_it_is_unpacked(path: Path) -> None:
    bomb = Item("cat/zeros", packed=deflate(b"\0" * 10_000_000), size=10_000_000)
    seen = read(path, build([GOOD, bomb]))
    assert seen.codes == ["ratio_bomb"]
    assert seen.files == {}


def test_a_bomb_of_many_small_members(path: Path) -> None:
    items = [Item(f"cat/{number}", b"\0" * 200_000) for number in range(40)]
    assert read(path, build(items)).codes == ["ratio_bomb"]


def test_a_bomb_that_declares_little_stops_at_what_it_declared(path: Path) -> None:
    bomb = Item("cat/zeros", packed=deflate(b"\0" * 300_000_000), size=1_000_000, crc=zlib.crc32(b""))
    assert len(bomb.body()) > 250_000
    assert read(path, build([bomb])).codes == ["size_mismatch"]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(entries=2), "too_many_entries"),
        (Limits(bytes=5_000_000), "too_many_bytes"),
        (Limits(file_bytes=4_999_999), "file_too_large"),
        (Limits(file_bytes=999), "file_too_large"),
        (Limits(depth=1), "path_too_deep"),
    ],
)
def test_limits(path: Path, limits: Limits, code: str) -> None:
    import random

    noise = random.Random(1).randbytes(5_000_000)
    content = build([GOOD, Item("cat/noise", noise, method=0), Item("cat/3")])
    assert code in read(path, content, limits).codes
    assert read(path, content).codes == []


@pytest.mark.row("D2")
def test_a_cut_off_archive_at_every_length(path: Path) -> None:
    content = build([GOOD, Item("cat/2", b"two"), Item("dog/1", b"three")])
    for length in range(len(content)):
        seen = read(path, content[:length])
        assert seen.codes == ["unknown_archive" if length < 4 else "truncated"], length
    assert read(path, content + b"\0").codes == ["truncated"]


def test_an_archive_whose_beginning_is_missing(path: Path) -> None:
    content = build([GOOD, Item("cat/2", b"two" * 50, method=0)])
    assert read(path, build([GOOD])[:4] + content[60:]).codes == ["damaged"]


@pytest.mark.parametrize("entries", [0, 1, 3, 0xFFFF])
def test_a_wrong_number_of_entries(path: Path, entries: int) -> None:
    assert read(path, build([GOOD, Item("cat/2")], entries=entries)).codes == ["damaged"]
    assert read(path, build([GOOD, Item("cat/2")], entries=entries, zip64=True)).codes == ["damaged"]


def test_end_records_that_contradict_each_other(path: Path) -> None:
    content = bytearray(build([GOOD, Item("cat/2")], zip64=True))
    content[-12:-10] = (1).to_bytes(2, "little")
    assert read(path, bytes(content)).codes == ["damaged"]


def test_a_part_of_a_split_archive(path: Path) -> None:
    content = bytearray(build([GOOD]))
    content[-18:-16] = (1).to_bytes(2, "little")
    assert read(path, bytes(content)).codes == ["multi_disk"]


def test_a_damaged_directory(path: Path) -> None:
    content = bytearray(build([GOOD, Item("cat/2")]))
    at = content.rfind(b"PK\1\2")
    content[at : at + 4] = b"XXXX"
    assert read(path, bytes(content)).codes == ["damaged"]
