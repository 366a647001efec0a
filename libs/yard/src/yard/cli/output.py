"""How answers look: a table for people, JSON for programs; colour only where somebody looks.

Standard output holds the answer and nothing else, so that `-o json` can be piped; progress goes to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from yard import forms

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 4000
"""Columns of a table that is not shown on a screen: nothing is ever cut off."""
_BETWEEN = 2
"""Blanks between two columns."""
_LEAST = 3
"""Columns that a table has on the narrowest screen; they are folded there."""


class Output(StrEnum):
    """How to answer."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True)
class Column:
    """A column: its title, the field (`a.b` goes inwards), and how the value looks."""

    title: str
    field: str
    form: Callable[[Any], str] = forms.plain


Columns = tuple[Column, ...]


def console(*, error: bool = False) -> Console:
    """A terminal, or what stands for it."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else _WIDE
    return Console(file=stream, width=width, highlight=False, emoji=False, markup=False)


def put_json(value: Any, *, line: bool = False) -> None:
    """A value as JSON: indented, or on one line for streams."""
    print(json.dumps(value, ensure_ascii=False, indent=None if line else 2), flush=line)


def put_list(items: Iterable[Mapping[str, Any]], columns: Columns, output: Output, *, noun: str = "") -> None:
    """Some resources, one a line. A narrow screen shows fewer columns; a pipe gets them all."""
    rows = list(items)
    if output is Output.JSON:
        put_json(rows)
    elif rows:
        _put_table(rows, columns)
    else:
        print(f"There are no {noun}s." if noun else "There is nothing.")


def put_one(item: Mapping[str, Any], columns: Columns, output: Output) -> None:
    """One resource, one field a line; fields that it has not are left out."""
    if output is Output.JSON:
        put_json(item)
        return
    lines = [
        (column.title, column.form(value)) for column in columns if (value := field_of(item, column.field)) is not None
    ]
    width = max((len(title) for title, _ in lines), default=0)
    for title, shown in lines:
        if shown:
            first, *more = shown.splitlines()
            print("\n".join([f"{title:<{width}}  {first}", *(f"{'':<{width}}  {line}" for line in more)]))


def put_done(sentence: str, output: Output, value: Any = None) -> None:
    """That something was done: a sentence, or JSON."""
    if output is Output.JSON:
        put_json(value if value is not None else {"done": sentence})
    else:
        print(sentence)


def put_note(sentence: str) -> None:
    """Something worth knowing besides the answer, on standard error."""
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def if_interrupted(sentence: str) -> Iterator[None]:
    """Tell whoever presses Ctrl-C meanwhile what becomes of it."""
    try:
        yield
    except KeyboardInterrupt:
        put_note(f"\n{sentence}")
        raise


def field_of(item: Mapping[str, Any], path: str) -> Any:
    """The field at `a.b`; None where any step is missing."""
    value: Any = item
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def _put_table(rows: list[Mapping[str, Any]], columns: Columns) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console()
    cells = [[column.form(field_of(row, column.field)) for column in columns] for row in rows]
    fitting = fitting_columns([column.title for column in columns], cells, screen.width)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _BETWEEN, 0, 0))
    for number, column in enumerate(columns[:fitting]):
        table.add_column(column.title, no_wrap=number == 0, overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell, style=forms.colour(cell)) for cell in row[:fitting]))
    with screen.capture() as shown:
        screen.print(table)
    sys.stdout.write("\n".join(line.rstrip() for line in shown.get().splitlines()) + "\n")


def fitting_columns(titles: list[str], cells: list[list[str]], width: int) -> int:
    """How many columns, from the left, a screen has room for; those that matter least stand on the right."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, [title, *(row[n] for row in cells)])) for n, title in enumerate(titles)]
    fitting = len(titles)
    while fitting > _LEAST and sum(widths[:fitting]) + _BETWEEN * (fitting - 1) > width:
        fitting -= 1
    return fitting
