"""What lies in a rar without compression is held against its checksum, which libarchive doesn't."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dataset_svc.archives.builder import read
from tests.dataset_svc.archives.rars import rar, rar_4, rar_file, rar_packed, rar_solid

pytestmark = pytest.mark.row("D2")

FILES = {"cat/": b"", "cat/猫.txt": b"meow" * 9, "cat/2": b"", "dog/1": b"woof" * 300_000, "dog/2": b"x"}


@pytest.mark.parametrize("make", [rar, rar_4, rar_packed, rar_solid])
def test_what_is_whole_is_read(tmp_path: Path, make: Callable[..., bytes]) -> None:
    found = read(tmp_path / "a", make(FILES))
    assert found.codes == []
    assert found.files == {path: data for path, data in FILES.items() if not path.endswith("/")}


@pytest.mark.parametrize("make", [rar, rar_4])
@pytest.mark.parametrize(("before", "after", "path"), [(b"meow", b"MEOW", "cat/猫.txt"), (b"woof", b"WOOF", "dog/1")])
def test_what_was_changed_is_told_and_the_others_are_read(
    tmp_path: Path, make: Callable[..., bytes], before: bytes, after: bytes, path: str
) -> None:
    """Found as damaged content that became a version."""
    found = read(tmp_path / "a", make(FILES).replace(before, after, 1))
    assert [(one.code, one.file) for one in found.findings] == [("damaged_member", path)]
    assert "Pack and upload it again" in found.findings[0].reason
    assert found.files["dog/2"] == b"x"


def test_a_sum_is_of_the_file_whose_name_it_stands_with(tmp_path: Path) -> None:
    wrong = rar({"cat/1": b"meow"}, middle=rar_file("cat/2", b"purr", crc=1))
    assert [(one.code, one.file) for one in read(tmp_path / "a", wrong).findings] == [("damaged_member", "cat/2")]
