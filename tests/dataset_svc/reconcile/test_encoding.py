"""An encoder is in one thread at a time, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from common.kernel.errors import Invalid
from dataset_svc.reconcile import encoding
from dataset_svc.sets import Record, SetFormat, Terms
from tests.dataset_svc.reconcile.gates import Gate

ONE = [Record("cat/1.png", "cat", 0, b"")]
TERMS = Terms("image", ["cat"], 1 << 20)


def _nothing() -> None:
    """As quick as can be."""


class Told:
    """An encoder that notes what it is told, and by which thread."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.threads: set[threading.Thread] = set()
        self.opening: Callable[[], None] = _nothing
        self.adding: Callable[[], None] = _nothing
        self.closing: Callable[[], None] = _nothing

    def open(self, folder: Path, terms: Terms) -> Told:
        self._note("opened", self.opening)
        return self

    def add(self, record: Record) -> None:
        self._note("added", self.adding)

    def close(self) -> None:
        self._note("closed", self.closing)

    def _note(self, step: str, work: Callable[[], None]) -> None:
        self.threads.add(threading.current_thread())
        work()
        self.steps.append(step)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    encoder = Told()
    monkeypatch.setattr(encoding, "set_format", lambda name: SetFormat(name, encoder.open))
    return encoder


async def write(folder: Path) -> None:
    async with encoding.encoding("parquet", folder / "made", TERMS) as add:
        await add(ONE)
        await add(ONE)


@pytest.mark.row("D9")
async def test_one_thread_does_all_of_it(told: Told, tmp_path: Path) -> None:
    await write(tmp_path)
    assert told.steps == ["opened", "added", "added", "closed"]
    assert len(told.threads) == 1


@pytest.mark.row("D9")
async def test_who_is_cancelled_waits_for_what_is_written_and_then_closes_it(told: Told, tmp_path: Path) -> None:
    """Found as a crash of the whole service: the writer was closed by a second thread."""
    gate = Gate()
    told.adding = gate.pass_through
    await gate.cancelled_inside(asyncio.create_task(write(tmp_path)))
    assert told.steps == ["opened", "added", "closed"]
    assert len(told.threads) == 1


@pytest.mark.row("D9")
async def test_what_is_opened_for_somebody_who_was_cancelled_is_closed(told: Told, tmp_path: Path) -> None:
    gate = Gate()
    told.opening = gate.pass_through
    await gate.cancelled_inside(asyncio.create_task(write(tmp_path)))
    assert told.steps == ["opened", "closed"]


def _broken() -> None:
    raise OSError("Only 0 out of 3 columns are initialized")


@pytest.mark.row("D9")
async def test_who_is_cancelled_has_not_failed(told: Told, tmp_path: Path) -> None:
    """Found as a set that a restart in the middle left failed for good."""
    gate = Gate()
    told.adding, told.closing = gate.pass_through, _broken
    await gate.cancelled_inside(asyncio.create_task(write(tmp_path)))


@pytest.mark.row("D9")
async def test_the_first_fault_is_told(told: Told, tmp_path: Path) -> None:
    def refuse() -> None:
        raise Invalid("bad_text", "It is no text.")

    told.adding, told.closing = refuse, _broken
    with pytest.raises(Invalid, match="no text"):
        await write(tmp_path)


@pytest.mark.row("D9")
async def test_what_can_not_be_closed_is_not_whole(told: Told, tmp_path: Path) -> None:
    told.closing = _broken
    with pytest.raises(OSError, match="columns"):
        await write(tmp_path)
