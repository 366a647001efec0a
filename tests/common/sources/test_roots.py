"""Shared file systems by name: a sub-path stays in its root, over no link, and is written to only where allowed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.kernel.errors import Invalid, Unavailable
from common.sources import SharedRoots


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    root = tmp_path / "lab"
    (root / "a" / "数据").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "near").symlink_to("a")
    (root / "file").write_bytes(b"x")
    return root


@pytest.mark.row("D11")
@pytest.mark.parametrize("path", ["", "a", "/a/", "a/数据", "//", "//a", "///a"])
def test_a_sub_path_is_a_folder_of_the_root(lab: Path, path: str) -> None:
    assert SharedRoots({"lab": lab}).folder("lab", path) == lab / path.strip("/")


@pytest.mark.row("D11")
@pytest.mark.parametrize(
    "path", ["..", "a/../..", "out", "near", "near/数据", "file", "nowhere", "a\0", "a/数据/x", "//etc", "///etc"]
)
def test_what_leads_elsewhere_or_is_no_folder_is_refused(lab: Path, path: str) -> None:
    with pytest.raises(Invalid) as refused:
        SharedRoots({"lab": lab}).folder("lab", path)
    assert refused.value.code == "source_refused"


@pytest.mark.row("D11")
def test_only_what_is_allowed_is_written_to(lab: Path) -> None:
    with pytest.raises(Invalid) as refused:
        SharedRoots({"lab": lab}).folder("lab", "a", writable=True)
    assert refused.value.code == "read_only_root"
    assert SharedRoots({"lab": lab}, frozenset({"lab"})).folder("lab", "a", writable=True) == lab / "a"
    with pytest.raises(Invalid) as refused:
        SharedRoots({"lab": lab}).folder("home", "a")
    assert refused.value.code == "unknown_root"
    with pytest.raises(ValueError, match="home"):
        SharedRoots({"lab": lab}, frozenset({"home"}))


@pytest.mark.row("D11")
@pytest.mark.parametrize("where", ["lab", "a"])
def test_a_file_server_that_is_away_is_said_to_be_away(lab: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, where, errno.ESTALE)
    with pytest.raises(Unavailable, match=r"Stale file handle.*try again later") as away:
        SharedRoots({"lab": lab}).folder("lab", "a")
    assert away.value.code == "source_unavailable"


def refusing(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """A file server that is away is played: opening what has that name says so."""
    real: Callable[..., int] = os.open

    def open_(path: Any, *how: Any, **more: Any) -> int:
        if os.path.basename(os.fsdecode(path)) == name:
            raise OSError(number, os.strerror(number))
        return real(path, *how, **more)

    monkeypatch.setattr(os, "open", open_)
