"""One platform a state folder, and looking whether there is one keeps nobody out."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from common.kernel.errors import Conflict
from embedded import lock


def test_a_second_platform_is_refused_and_the_next_one_is_not(tmp_path: Path) -> None:
    with lock.locked(tmp_path):
        assert lock.is_locked(tmp_path)
        with pytest.raises(Conflict, match="runs on"), lock.locked(tmp_path):
            pass
    assert not lock.is_locked(tmp_path)
    with lock.locked(tmp_path):
        assert lock.is_locked(tmp_path)


def test_who_only_looks_keeps_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks holds the lock for that moment, which was taken for another platform."""
    monkeypatch.setattr(lock, "LOOK_SECONDS", 60.0)
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    looked = threading.Timer(0.1, os.close, [descriptor])
    looked.start()
    with lock.locked(tmp_path):
        assert lock.is_locked(tmp_path)
    looked.join()


def test_who_looks_is_not_taken_for_a_platform_by_another_who_looks(tmp_path: Path, monkeypatch: Any) -> None:
    with lock.locked(tmp_path):
        pass
    seen: list[bool] = []

    def look_too(descriptor: int, how: int) -> None:
        monkeypatch.undo()
        fcntl.flock(descriptor, how)
        seen.append(lock.is_locked(tmp_path))  # while the first has not finished

    monkeypatch.setattr("embedded.lock.fcntl.flock", look_too)
    assert [lock.is_locked(tmp_path), *seen] == [False, False]
