"""Points of learning curves: read from what a job or a client sends, and thinned for a screen (row T11)."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isfinite
from operator import lt
from typing import Any

import orjson

LONGEST_NAME = 100
MOST_FAULTS = 20
_WIDE = 10**300
"""Whole numbers beyond this are too large for a double."""

Columns = dict[str, "Column"]


@dataclass
class Column:
    """One metric's points: `steps` strictly ascending once `settle` was called, and a value for each."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def settle(self) -> Column:
        """In the order of steps, each step once: of two values for one step the later counts."""
        if not all(map(lt, self.steps, islice(self.steps, 1, None))):
            last = dict(zip(self.steps, self.values, strict=True))
            self.steps = sorted(last)
            self.values = [last[step] for step in self.steps]
        return self

    def packed(self) -> tuple[bytes, bytes]:
        """Steps as 64-bit integers and values as doubles, in this machine's byte order."""
        return array("q", self.steps).tobytes(), array("d", self.values).tobytes()


def unpacked(steps: bytes, values: bytes) -> Column:
    """The column that was packed."""
    s, v = array("q"), array("d")
    s.frombytes(steps)
    v.frombytes(values)
    return Column(s.tolist(), v.tolist())


@dataclass
class Points:
    """What was read: columns by metric, and what was wrong with the rest (at most `MOST_FAULTS` are told)."""

    columns: Columns = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)
    wrong: int = 0
    taken: int = 0

    def fault(self, where: str, reason: str) -> None:
        """Note what is wrong."""
        self.wrong += 1
        if len(self.faults) < MOST_FAULTS:
            self.faults.append((where, reason))

    def settle(self) -> Points:
        """All columns in order, each step once."""
        for column in self.columns.values():
            column.settle()
        return self


def gather(points: Iterable[Any], into: Points | None = None) -> Points:
    """Take points such as `{"step": 3, "loss": 0.5}`; a value that is no finite number is a fault, the rest counts."""
    if into is None and isinstance(points, list) and (alike := _alike(points)) is not None:
        return alike
    found = into if into is not None else Points()
    for number, point in enumerate(points):
        _take(found, number, point)
    return found


def _alike(points: list[Any]) -> Points | None:
    """The usual case, all of it good and with the same names, taken column by column: four times as fast.

    None for anything else, which is then looked at point by point.
    """
    if not points or set(map(type, points)) != {dict}:
        return None
    names = list(points[0])
    if "step" not in names or any(map(_name_fault, names)) or set(map(len, points)) != {len(names)}:
        return None
    try:
        columns = {name: [point[name] for point in points] for name in names}
    except KeyError:
        return None
    steps = columns.pop("step")
    if set(map(type, steps)) != {int} or min(steps) < 0 or max(steps) >= 1 << 63:
        return None
    for values in columns.values():
        if set(map(type, values)) != {float} or not all(map(isfinite, values)):
            return None
    made = {name: Column(list(steps), values) for name, values in columns.items()}
    return Points(made, taken=len(points) * len(made))


def _take(found: Points, number: int, point: Any) -> None:
    step = point.get("step") if type(point) is dict else None
    if type(step) is not int or not 0 <= step < 1 << 63:
        found.fault(f"{number}.step", "A point is an object with a `step`, a whole number from 0, and numbers by name.")
        return
    columns = found.columns
    for name, value in point.items():
        if name == "step":
            continue
        kind = type(value)
        if (kind is float and isfinite(value)) or (kind is int and -_WIDE < value < _WIDE):
            column = columns.get(name)
            if column is None:
                if reason := _name_fault(name):
                    found.fault(f"{number}.{name[:40]}", reason)
                    continue
                column = columns[name] = Column()
            column.steps.append(step)
            column.values.append(value)
            found.taken += 1
        else:
            found.fault(f"{number}.{name[:40]}", "A value is a finite number.")


def _name_fault(name: str) -> str:
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        return f"A metric's name has 1 to {LONGEST_NAME} printable characters."
    return ""


def from_lines(text: bytes) -> Points:
    """Read JSON lines (`YARD_METRICS`). What a line has that is no number (NaN too) is left out and counted."""
    lines = [line for line in text.split(b"\n") if line and not line.isspace()]
    try:
        return gather(orjson.loads(b"[" + b",".join(lines) + b"]")).settle()
    except orjson.JSONDecodeError:
        return _one_by_one(lines)


def _one_by_one(lines: Sequence[bytes]) -> Points:
    """For text that is not JSON throughout: Python writes NaN and infinities, and a killed process half a line."""
    found = Points()
    for line in lines:
        try:
            gather((json.loads(line),), found)
        except (ValueError, RecursionError):
            found.fault("line", "It is no JSON.")
    return found.settle()


Point = tuple[int, float]


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` (at least 4) of the points, in order: first and last, and the lowest and highest of each stretch.

    So no peak of a curve is lost, which plain sampling would do. `most` 0 keeps all.
    """
    if most == 0 or len(points) <= most:
        return list(points)
    values = [value for _, value in points]
    stretches = (most - 2) // 2
    width = (len(points) - 2) / stretches
    kept = {0, len(points) - 1}
    for stretch in range(stretches):
        start, end = 1 + int(stretch * width), 1 + int((stretch + 1) * width)
        if stretch == stretches - 1:
            end = len(points) - 1
        part = values[start:end]
        kept |= {start + part.index(min(part)), start + part.index(max(part))}
    return [points[index] for index in sorted(kept)]
