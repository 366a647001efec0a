"""A source that is mounted gives its connection back, even where it has more files than may be mounted, and one that is
away is no reason to wait."""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.kernel.errors import Invalid, Problem, Unavailable
from common.sources import Found, SharedRoots
from common.workloads.mounting import _listed, mounted
from common.workloads.plan import MountPlan
from tests.common.sources.test_roots import refusing


class Endless:
    """A source that never ends and notes whether its listing was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def files(self) -> AsyncGenerator[Found, None]:
        """One file after the other."""
        try:
            while True:
                yield Found("1.png", 1)
        finally:
            self.closed = True

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """Its path."""
        yield path.encode()

    async def close(self) -> None:
        """Nothing is held."""


@pytest.mark.row("D11")
async def test_a_listing_that_is_too_long_is_closed_where_it_stops() -> None:
    source = Endless()
    with pytest.raises(Invalid) as refused:
        await _listed(source, "src-1@1/", 3)
    assert refused.value.code == "too_many_files"
    assert source.closed
    assert "src-1@1/" in refused.value.detail
    assert "longer path" in refused.value.detail


@pytest.mark.row("D11")
async def test_a_shared_file_system_that_is_away_is_no_reason_to_hold_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab" / "cats").mkdir(parents=True)
    kit: Any = SimpleNamespace(platform=SimpleNamespace(shared=SharedRoots({"lab": tmp_path / "lab"})))
    plan = MountPlan(name="cats", source_id="src-1", path="cats", root="lab")
    assert (await mounted(kit, "att-1", plan, print)).source == tmp_path / "lab" / "cats"
    refusing(monkeypatch, "cats", errno.EHOSTDOWN)
    with pytest.raises(Problem, match="The source src-1 can't be mounted") as failed:
        await mounted(kit, "att-1", plan, print)
    assert (failed.value.code, isinstance(failed.value, Unavailable)) == ("staging_failed", False)
