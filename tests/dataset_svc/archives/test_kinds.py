"""The kind of an archive is told by its first bytes, and what can't be read is refused by its name."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from dataset_svc.archives import sniff
from tests.dataset_svc.archives.builder import Item, build, read


def tar() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (tar(), "tar"),
        (gzip.compress(b"x"), "gzip"),
        (b"Rar!\x1a\x07\x01\x00...", "rar5"),
        (b"Rar!\x1a\x07\x00...", "rar"),
        (b"7z\xbc\xaf\x27\x1c...", "7z"),
        (b"\x28\xb5\x2f\xfd...", "zstd"),
    ],
)
def test_other_kinds_are_refused_by_name(tmp_path: Path, content: bytes, kind: str) -> None:
    assert sniff(content[:512]) == kind
    seen = read(tmp_path / "dataset.zip", content)
    assert seen.codes == ["unsupported_archive"]
    assert seen.refused is not None
    assert kind in seen.refused.reason


@pytest.mark.parametrize("content", [b"", b"P", b"<!DOCTYPE html>", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path / "a.zip", content).codes == ["unknown_archive"]


def test_an_empty_zip_and_one_of_folders(tmp_path: Path) -> None:
    assert read(tmp_path / "a.zip", build([])).files == {}
    seen = read(tmp_path / "a.zip", build([Item("a/", b"", method=0), Item("b/", b"", mode=0o040755)]))
    assert (seen.files, seen.folders, seen.codes) == ({}, ["a", "b"], [])


def test_a_closed_archive_leaves_no_descriptor(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    read(tmp_path / "a.zip", build([Item("a/b")]))
    read(tmp_path / "a.zip", b"noise")
    read(tmp_path / "a.zip", build([Item("a/b")])[:-1])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
