"""A file server that is away is waited for: what it says then is no refusal."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from common.kernel.errors import Invalid, Problem, Unavailable
from tests.common.sources.test_roots import refusing
from tests.contracts.sources.test_shared_folders import opened, put
from tests.contracts.sources.test_sources import content

AWAY = ["ESTALE", "EIO", "ETIMEDOUT", "EHOSTDOWN", "ENOTCONN", "EHOSTUNREACH", "ECONNREFUSED"]
NOT_SO = ["EACCES", "EPERM", "ELOOP", "ENOTDIR"]


async def problem(root: Path) -> Problem:
    with pytest.raises(Problem) as met:
        await content(await opened(root))
    return met.value


@pytest.mark.row("D11")
@pytest.mark.parametrize("name", AWAY + NOT_SO)
@pytest.mark.parametrize("where", ["lab", "cat", "1"])
async def test_what_is_away_is_told_from_what_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, where: str
) -> None:
    put(tmp_path, b"lab/cat/1", b"x")
    refusing(monkeypatch, where, getattr(errno, name))
    told = await problem(tmp_path / "lab")
    assert (type(told), told.code) == (
        (Unavailable, "source_unavailable") if name in AWAY else (Invalid, "source_refused")
    )
    assert ("try again later" in told.detail) == (name in AWAY)


@pytest.mark.row("D11")
@pytest.mark.parametrize("step", ["scandir", "stat"])
async def test_what_goes_away_while_one_looks_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    put(tmp_path, b"cat/1", b"x")

    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, step, fail)
    assert isinstance(await problem(tmp_path), Unavailable)
