"""How the demo speaks: one line a step with the time it took; bars and live curves only where somebody looks."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TextIO

from yard.charts import Frame, Points, beside, can_braille, chart
from yard.forms import duration
from yard.progress import Advance, progress

_INDENT = "    "
_TITLE = 46
_GREEN, _RED, _BOLD, _DIM, _END = "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"


def _unseen(done: float, total: float | None, note: str) -> None:
    """Where there is no bar."""


@dataclass
class Step:
    """One step while it runs: `advance` shows how far it is, `result` is what it came to."""

    title: str
    advance: Advance = _unseen
    result: str = ""


@dataclass
class Stage:
    """Where the demo is shown. `spent` is the time of each step in seconds, by title."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    spent: dict[str, float] = field(default_factory=dict)

    @property
    def watched(self) -> bool:
        """Whether somebody looks; in a file there are no control characters."""
        return self.out.isatty()

    @property
    def plain(self) -> bool:
        """Whether only ASCII can be written."""
        return not can_braille(self.out)

    @contextmanager
    def step(self, title: str, *, bytes: bool = False, bar: bool = True) -> Iterator[Step]:
        """Run one step; its line is written at its end, whether it succeeds or not."""
        step, began = Step(title), time.monotonic()
        mark, style = "x" if self.plain else "✗", _RED
        try:
            with progress(title, bytes=bytes, stream=self.out) if bar else nullcontext(_unseen) as step.advance:
                step.advance(0, None, "")
                yield step
            mark, style = "+" if self.plain else "✓", _GREEN
        finally:
            self.spent[title] = time.monotonic() - began
            self._line(mark, style, step)

    @contextmanager
    def live(self) -> Iterator[Callable[[str], None]]:
        """A block that changes while it is looked at, and is gone afterwards; nothing where nobody looks."""
        if not self.watched:
            yield lambda _: None
            return
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        with Live(console=Console(file=self.out, highlight=False), transient=True, refresh_per_second=8) as shown:
            yield lambda text: shown.update(Text("\n".join(_INDENT + line for line in text.splitlines())))

    def _line(self, mark: str, style: str, step: Step) -> None:
        took = duration(self.spent[step.title])
        title = f"{step.title:<{_TITLE}}"
        self.say(f"{self.styled(mark, style)} {title}{self.styled(f'{took:>8}', _DIM)}  {step.result}".rstrip())

    def say(self, text: str = "") -> None:
        """Lines as they are."""
        print(text if not self.plain else text.encode("ascii", "replace").decode(), file=self.out, flush=True)

    def title(self, text: str) -> None:
        """A heading."""
        self.say(self.styled(text, _BOLD))

    def block(self, text: str) -> None:
        """Some lines beneath a step."""
        self.say("\n" + "\n".join(f"{_INDENT}{line}".rstrip() for line in text.splitlines()) + "\n")

    def styled(self, text: str, style: str) -> str:
        """In colour, where somebody looks."""
        return f"{style}{text}{_END}" if self.watched else text

    def curves(self, curves: dict[str, Points]) -> str:
        """The learning curves, side by side."""
        frame = Frame(width=28, height=6, braille=not self.plain)
        return beside([chart(name, points, frame) for name, points in curves.items()])
