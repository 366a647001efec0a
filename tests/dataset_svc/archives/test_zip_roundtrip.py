"""What the standard library packs, comes out unchanged; what is damaged, never comes out wrong."""

import io
import random
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_svc.archives import Limits
from tests.dataset_svc.archives.builder import Item, build, read

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
letters = st.characters(codec="utf-8", exclude_characters="/\\:\0", exclude_categories=("Cc", "Cs"))
part = st.text(letters, min_size=1, max_size=12).map(lambda text: f"n{text}")
paths = st.lists(part, min_size=1, max_size=4).map("/".join)
contents = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.binary(min_size=1, max_size=5), st.integers(1, 300_000)).map(lambda pair: pair[0] * pair[1]),
)
loose = Limits(member_ratio=1e9, total_ratio=1e9)
relaxed = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


class Pipe(io.RawIOBase):
    """A file that can't seek, for which zipfile writes data descriptors."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.content += data
        return len(data)


def normal(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def pack(files: dict[str, bytes], method: int, piped: bool, comment: bytes) -> bytes:
    target: Any = Pipe() if piped else io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        archive.comment = comment
        for path, data in files.items():
            archive.writestr(path, data)
    return bytes(target.content) if piped else bytes(target.getvalue())


@pytest.mark.row("D2")
@relaxed
@given(
    st.dictionaries(paths, contents, min_size=1, max_size=6),
    st.sampled_from(METHODS),
    st.booleans(),
    st.binary(max_size=40),
)
def test_what_zipfile_packs_comes_out_unchanged(
    tmp_path: Path, files: dict[str, bytes], method: int, piped: bool, comment: bytes
) -> None:
    files = {f"{number}/{path}": data for number, (path, data) in enumerate(files.items())}
    seen = read(tmp_path / "a.zip", pack(files, method, piped, comment.replace(b"PK", b"")), loose)
    assert seen.codes == []
    cut = min(len(path) - len(got) for path, got in zip(map(normal, files), seen.files, strict=True))
    assert list(seen.files) == [normal(path)[cut:] for path in files]
    assert list(seen.files.values()) == list(files.values())


@relaxed
@given(st.dictionaries(part, contents, min_size=2, max_size=8), st.randoms(), st.booleans(), st.binary(max_size=9))
def test_any_order_of_the_directory(
    tmp_path: Path, files: dict[str, bytes], shuffler: random.Random, zip64: bool, prefix: bytes
) -> None:
    items = [Item(f"{number}/{path}", data) for number, (path, data) in enumerate(files.items())]
    order = list(range(len(items)))
    shuffler.shuffle(order)
    whole = build(items, order=order, zip64=zip64, prefix=b"PK\3\4" + prefix)
    seen = read(tmp_path / "a.zip", whole, loose)
    assert seen.codes == []
    assert seen.files == {normal(item.name): item.data for item in items if isinstance(item.name, str)}


@relaxed
@given(
    st.binary(min_size=40, max_size=400),
    st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_damage_is_found_or_harmless(tmp_path: Path, data: bytes, flips: list[tuple[int, int]]) -> None:
    files = {"cat/1.txt": data, "dog/2.txt": data[::-1], "dog/3.txt": data[:20] * 30}
    content = bytearray(build([Item(path, body) for path, body in files.items()]))
    for at, flip in flips:
        content[at % len(content)] ^= flip
    seen = read(tmp_path / "a.zip", bytes(content))
    if not seen.codes:
        assert len(seen.files) <= 3
        assert set(seen.files.values()) <= set(files.values())


@relaxed
@given(st.binary(max_size=200))
def test_noise_is_refused(tmp_path: Path, noise: bytes) -> None:
    for content in (noise, b"PK\3\4" + noise, build([Item("a/b", noise)])[:-22] + noise):
        seen = read(tmp_path / "a.zip", content)
        assert seen.files == {}
        assert seen.refused is not None


def test_large_members_stream_in_pieces(tmp_path: Path) -> None:
    noise = random.Random(5).randbytes(3_000_000)
    files = {
        "a/noise": noise,
        "a/text": b"words and words " * 200_000,
        "b/edge": noise[: 512 << 10],
        "b/over": noise[: (512 << 10) + 1],
    }
    for method in METHODS:
        seen = read(tmp_path / "a.zip", pack(files, method, False, b""), loose)
        assert seen.codes == []
        assert seen.files == files


def test_sizes_in_64_bits(tmp_path: Path) -> None:
    items = [Item("cat/1", b"meow" * 99, wide=True), Item("dog/1", b"woof"), Item("dog/2", b"", wide=True)]
    seen = read(tmp_path / "a.zip", build(items, zip64=True))
    assert seen.codes == []
    assert seen.files == {"cat/1": b"meow" * 99, "dog/1": b"woof", "dog/2": b""}


def test_more_entries_than_16_bits_can_count(tmp_path: Path) -> None:
    target = tmp_path / "a.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for number in range(70_000):
            archive.writestr(f"c{number % 3}/{number}", b"")
    seen = read(target)
    assert seen.codes == []
    assert len(seen.files) == 70_000
