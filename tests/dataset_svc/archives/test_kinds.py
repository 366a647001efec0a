"""The kind of an archive is told by its first bytes, and what can't be read is refused by its name."""

import gzip
import os
from pathlib import Path

import pytest

from dataset_svc.archives import sniff
from dataset_svc.archives.native import library
from tests.dataset_svc.archives.builder import Item, build, read
from tests.dataset_svc.archives.makers import MAKERS, tar
from tests.dataset_svc.archives.rars import rar
from tests.support.files import opened_by


@pytest.mark.parametrize(
    ("content", "kind", "code"),
    [
        (tar({"a": b""}), "tar", ""),
        (gzip.compress(b"x", mtime=0), "gzip", "truncated"),
        (gzip.compress(b"x" * 600, mtime=0), "gzip", "unknown_archive"),
        (b"Rar!\x1a\x07\x01\x00...", "rar5", "truncated"),
        (b"Rar!\x1a\x07\x00...", "rar", "truncated"),
        (b"7z\xbc\xaf\x27\x1c...", "7z", "damaged"),
        (b"\x28\xb5\x2f\xfd...", "zstd", "truncated"),
        (b"BZh91AY", "bzip2", "unsupported_archive"),
        (b"\xfd7zXZ\x00", "xz", "unsupported_archive"),
    ],
)
def test_kinds_by_their_first_bytes(tmp_path: Path, content: bytes, kind: str, code: str) -> None:
    assert sniff(content[:512]) == kind
    seen = read(tmp_path / "dataset.zip", content)
    assert seen.codes == ([code] if code else [])


def test_without_libarchive_the_others_are_read_and_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_NAMES", ("libnowhere.so.1",))
    library.load.cache_clear()
    try:
        seen = read(tmp_path / "a", rar({"a/1": b"x"}))
        assert seen.codes == ["library_missing"]
        assert seen.refused is not None
        assert "apt-get install libarchive13" in seen.refused.reason
        for kind in ("zip", "tar", "tar.gz", "tar.zst"):
            assert read(tmp_path / "a", MAKERS[kind]({"a/1": b"x"})).codes == []
    finally:
        library.load.cache_clear()


@pytest.mark.parametrize("content", [b"", b"P", b"<!DOCTYPE html>", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path / "a.zip", content).codes == ["unknown_archive"]


def test_an_empty_zip_and_one_of_folders(tmp_path: Path) -> None:
    assert read(tmp_path / "a.zip", build([])).files == {}
    seen = read(tmp_path / "a.zip", build([Item("a/", b"", method=0), Item("b/", b"", mode=0o040755)]))
    assert (seen.files, seen.folders, seen.codes) == ({}, ["a", "b"], [])


def test_a_closed_archive_leaves_no_descriptor(tmp_path: Path) -> None:
    read(tmp_path / "a.zip", build([Item("a/b")]))
    read(tmp_path / "a.zip", b"noise")
    read(tmp_path / "a.zip", build([Item("a/b")])[:-1])
    assert [path for path in opened_by(os.getpid()) if path.startswith(f"{tmp_path}/")] == []
