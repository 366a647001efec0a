"""Progress: a bar where somebody looks, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

EVERY = 5.0
"""Seconds between two lines where nobody looks."""

Advance = Callable[[float, float | None, str], None]
"""Told what is done and what in all (any unit, None: not known), and a note."""


@contextmanager
def progress(what: str, *, bytes: bool = False, stream: TextIO | None = None) -> Iterator[Advance]:
    """Show how far something is, on standard error unless told; a bar is gone afterwards."""
    to = stream or sys.stderr
    with _bar(what, bytes, to) if to.isatty() else _lines(what, to) as advance:
        yield advance


@contextmanager
def _bar(what: str, bytes: bool, to: TextIO) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    amount = DownloadColumn(binary_units=True) if bytes else TaskProgressColumn()
    words = [TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[note]}")]
    with Progress(
        words[0], BarColumn(), amount, TimeElapsedColumn(), words[1], console=Console(file=to), transient=True
    ) as shown:
        task = shown.add_task(what, total=None, note="")

        def advance(done: float, total: float | None, note: str = "") -> None:
            shown.update(task, completed=done, total=total, note=note)

        yield advance


@contextmanager
def _lines(what: str, to: TextIO) -> Iterator[Advance]:
    began = told = time.monotonic()

    def advance(done: float, total: float | None, note: str = "") -> None:
        nonlocal told
        if time.monotonic() - told < EVERY:
            return
        told = time.monotonic()
        share = f" {done / total:.0%}" if total else ""
        print(f"{what}{share} after {told - began:.0f} s {note}".rstrip(), file=to, flush=True)

    yield advance
