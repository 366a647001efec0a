"""A job's curves as `yard job metrics` shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from yard.cli.output import Column

if TYPE_CHECKING:
    from yard.charts import Points

POINTS = (
    Column("METRIC", "name"),
    Column("POINTS", "points"),
    Column("FIRST", "first"),
    Column("LAST", "last"),
    Column("LOWEST", "lowest"),
    Column("HIGHEST", "highest"),
    Column("STEP", "step"),
)


def plotted(curves: Mapping[str, Points]) -> str:
    """The curves as drawn in a terminal, two beside each other."""
    from yard.charts import Frame, beside, can_braille, chart

    frame = Frame(braille=can_braille())
    drawn = [chart(name, curve, frame) for name, curve in curves.items()]
    return "\n\n".join(beside(drawn[at : at + 2]) for at in range(0, len(drawn), 2)) or "There are no points."


def summary(name: str, curve: Points) -> dict[str, Any]:
    """One curve as a row of a table."""
    values = [value for _, value in curve]
    about = {"first": values[0], "last": values[-1], "lowest": min(values), "highest": max(values)}
    return {"name": name, "points": len(curve), **about, "step": curve[-1][0]}
