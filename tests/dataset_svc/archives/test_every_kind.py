"""Whatever kind an archive is of, the same files come out of it, and the same dataset."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_svc.archives.stream import WHOLE
from dataset_svc.importing import run_import
from tests.dataset_svc.archives.builder import read
from tests.dataset_svc.archives.makers import MAKERS, libarchive

FILES = {
    "宠物/cat/一.txt": "猫".encode(),
    "宠物/cat/empty.txt": b"",
    "宠物/cat/large.txt": random.Random(1).randbytes(WHOLE // 2 + 9).hex().encode(),
    "宠物/dog/1.txt": b"woof",
    "宠物/dog/deep/2.txt": b"x" * 600,
}
LITTER = {
    "__MACOSX/宠物/._cat": b"\0",
    "宠物/.DS_Store": b"\0",
    "宠物/cat/Thumbs.db": b"\0",
    "宠物/dog/desktop.ini": b"",
}
INSIDE = {path.removeprefix("宠物/"): data for path, data in FILES.items()}


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    libarchive()


@pytest.mark.row("D2")
@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_files_come_out(tmp_path: Path, kind: str) -> None:
    folders = {"宠物/": b"", "宠物/cat/": b"", "宠物/empty/": b""}
    seen = read(tmp_path / "a", MAKERS[kind]({**folders, **LITTER, **FILES}))
    assert seen.codes == []
    assert seen.files == INSIDE
    assert set(seen.folders) == {"cat", "empty"}


@pytest.mark.row("D2")
@pytest.mark.parametrize("kind", ["rar5", "rar5, solid"])
def test_what_a_rar_has_packed_is_unpacked_and_checked(tmp_path: Path, kind: str) -> None:
    every, words = bytes(range(256)), b", ".join(b"%d says meow" % number for number in range(40))
    files = {"cat/1": words + every, "dog/1": every + words}
    content = MAKERS[kind](files)
    assert every not in content, "it is packed, and not stored"
    assert (len(content) < len(MAKERS["rar5"](files))) == (kind == "rar5, solid"), "it refers to the file before"
    assert read(tmp_path / "a", content).files == files
    for at in range(len(content) // 4, len(content) - 60, 37):
        seen = read(tmp_path / "a", content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        assert seen.codes or seen.files == files, at  # a code that nothing uses says nothing


@pytest.mark.row("D12")
def test_the_digest_is_the_same_whatever_the_kind_and_the_order(tmp_path: Path) -> None:
    digests = set()
    for number, make in enumerate(MAKERS.values()):
        order = random.Random(number).sample(sorted(FILES.items()), len(FILES))
        (tmp_path / "a").write_bytes(make({**dict(order), **LITTER}))
        report = run_import(tmp_path / "a", tmp_path / "out", format="dir", purpose="text/classification")
        assert report.ok, report.faults
        digests.add(report.digest)
    assert len(digests) == 1


@pytest.mark.row("D2")
@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_cut_off_is_never_taken_for_whole(tmp_path: Path, kind: str) -> None:
    content = MAKERS[kind]({"cat/1": b"meow" * 40, "dog/1": b"woof" * 40})
    for length in sorted({*range(0, len(content), max(1, len(content) // 25)), len(content) - 1}):
        if kind == "tar" and length >= len(content) - 1024 * 9:
            continue  # what is behind the end says nothing
        seen = read(tmp_path / "a", content[:length])
        assert seen.codes, length


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(kind=st.sampled_from(sorted(MAKERS)), data=st.data())
def test_damage_never_does_more_than_be_told(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    content = bytearray(MAKERS[kind]({"cat/1": b"meow" * 20, "dog/1": b"woof"}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    seen = read(tmp_path / "a", bytes(content))
    assert all(not path.startswith(("/", "..")) for path in seen.files)
    if not seen.codes and kind in ("zip", "tar.gz", "tar.zst"):
        assert {*map(len, seen.files.values())} <= {80, 4}
