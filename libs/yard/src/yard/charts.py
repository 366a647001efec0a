"""Curves in plain text: braille dots where the terminal can show them, asterisks where it can't. No control characters.

Written here because it is one page, and because it has to look the same in a log file.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import TextIO

Points = Sequence[tuple[float, float]]
"""Pairs of step and value, steps ascending."""

_BRAILLE = 0x2800
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_GAP = 4


@dataclass(frozen=True)
class Frame:
    """How big the drawing of a chart is, in characters, and whether braille may be used."""

    width: int = 34
    height: int = 7
    braille: bool = True

    @property
    def columns(self) -> int:
        """Dots across."""
        return self.width * 2 if self.braille else self.width

    @property
    def rows(self) -> int:
        """Dots down."""
        return self.height * 4 if self.braille else self.height


def can_braille(stream: TextIO | None = None) -> bool:
    """Whether what is written there can be braille."""
    try:
        "⠿│└".encode(getattr(stream or sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def chart(title: str, points: Points, frame: Frame) -> list[str]:
    """The lines of one chart: title with the last value, axis, curve, steps."""
    if not points:
        return [title, "(no points yet)"]
    low, high = min(y for _, y in points), max(y for _, y in points)
    labels = _labels(low, high, frame.height)
    margin = max(map(len, labels))
    bar, corner, rule = ("│", "└", "─") if frame.braille else ("|", "+", "-")
    body = [
        f"{label:>{margin}} {bar}{line}" for label, line in zip(labels, _drawn(points, low, high, frame), strict=True)
    ]
    first, last = f"{points[0][0]:g}", f"{points[-1][0]:g}"
    steps = first if first == last else f"{first}{last:>{frame.width - len(first)}}"
    return [
        f"{title} {number(points[-1][1])}",
        *body,
        f"{'':>{margin}} {corner}{rule * frame.width}",
        f"{'':>{margin}}  {steps}",
    ]


def beside(charts: Sequence[Sequence[str]]) -> str:
    """Charts side by side."""
    widths = [max(map(len, lines)) for lines in charts]
    rows = zip_longest(*charts, fillvalue="")
    return "\n".join(
        (" " * _GAP).join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def number(value: float) -> str:
    """A value in at most four digits."""
    return f"{value:.4g}"


def _labels(low: float, high: float, height: int) -> list[str]:
    """The highest value above, the lowest below, nothing between."""
    labels = [""] * height
    labels[-1] = number(low) if low < high else ""
    labels[0] = number(high)
    return labels


def _drawn(points: Points, low: float, high: float, frame: Frame) -> list[str]:
    dots = _dots(points, low, high, frame)
    if not frame.braille:
        return ["".join("*" if (x, y) in dots else " " for x in range(frame.width)) for y in range(frame.height)]
    return ["".join(_cell(dots, x, y) for x in range(frame.width)) for y in range(frame.height)]


def _cell(dots: set[tuple[int, int]], x: int, y: int) -> str:
    bits = sum(
        bit for dx, column in enumerate(_DOTS) for dy, bit in enumerate(column) if (2 * x + dx, 4 * y + dy) in dots
    )
    return chr(_BRAILLE + bits) if bits else " "


def _dots(points: Points, low: float, high: float, frame: Frame) -> set[tuple[int, int]]:
    """The line through the points as dots (column from the left, row from the top)."""
    first, last = points[0][0], points[-1][0]
    across, up = (last - first) or 1.0, (high - low) or 1.0
    placed = [
        (round((x - first) / across * (frame.columns - 1)), round((high - y) / up * (frame.rows - 1)))
        for x, y in points
    ]
    dots = set(placed)
    for (x0, y0), (x1, y1) in pairwise(placed):
        steps = max(abs(x1 - x0), abs(y1 - y0))
        dots.update((round(x0 + (x1 - x0) * i / steps), round(y0 + (y1 - y0) * i / steps)) for i in range(1, steps))
    return dots
