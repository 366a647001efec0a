"""A folder of a process's own is there for as long as that lives, and no longer."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from dataset_svc.reconcile.scratch import Scratch


def test_each_has_its_own_and_leaves_nothing(tmp_path: Path) -> None:
    one, other = Scratch(tmp_path / "sets", "one"), Scratch(tmp_path / "sets", "other")
    for scratch in (one, other, one):
        scratch.open()
        (scratch.folder / "work").mkdir(exist_ok=True)
    assert all((scratch.folder / "work").exists() for scratch in (one, other))
    one.close()
    assert (one.folder.exists(), (other.folder / "work").exists()) == (False, True)
    other.close()
    assert list((tmp_path / "sets").iterdir()) == []


def test_one_that_is_swept_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late, lock = Scratch(tmp_path, "late"), fcntl.flock

    def swept(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        late.folder.rmdir()
        lock(descriptor, how)

    monkeypatch.setattr("dataset_svc.reconcile.scratch.fcntl.flock", swept)
    late.open()
    other = Scratch(tmp_path, "other")
    other.open()
    assert late.folder.exists()
    other.close()
    late.close()
