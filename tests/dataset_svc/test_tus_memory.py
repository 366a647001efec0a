"""What comes by TUS is in memory once, however long its parts are (row D2)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from dataset_svc.domain.taxonomy import Part
from dataset_svc.domain.uploads import Upload
from dataset_svc.usecases import tus

MIB = 1 << 20
PART = 8 * MIB
NOW = datetime.now(UTC)
UPLOAD = Upload("up-1", "a.zip", "alice", "ds-1", Part.TRAIN, 2 * PART + 5, PART, "datasets/a", NOW, NOW)


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.row("D2")
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("piece", [65_521, 3 * MIB])
async def test_a_part_that_is_handed_over_is_not_copied(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    async def put_part(*told: Any, length: int) -> None:
        [data] = [data async for data in told[-1]]
        assert (type(data), len(data)) == (bytes, length)
        sizes.append(length)

    monkeypatch.setattr(tus, "put_part", put_part)
    filling, chunk, nobody = tus._Filling(1), bytes(piece), object()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    left: Any = UPLOAD.size
    while left:
        some = min(piece, left)
        await tus._take(nobody, nobody, UPLOAD, filling, chunk[:some])  # type: ignore[arg-type]
        left -= some
    _, most = tracemalloc.get_traced_memory()
    assert sizes == [PART, PART, 5]
    assert most - before < PART * 1.2 + piece
