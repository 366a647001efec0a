"""`make bench`: runs the benchmarks and prints a table; `--json` prints one JSON line a figure and nothing else.

Each figure stands against a limit or peer that was measured in the same run (`limit`), and `ratio` compares the two;
`met` says whether the goal was reached. Exit code 1 where one was not.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType

from rich.console import Console
from rich.table import Table

import bench

COLUMNS = ("name", "value", "unit", "limit", "ratio", "goal", "met")


def modules() -> dict[str, ModuleType]:
    """The benchmarks by the name that `NAME=` takes."""
    found = (importlib.import_module(f"bench.{info.name}") for info in pkgutil.iter_modules(bench.__path__))
    return {module.NAME: module for module in found if hasattr(module, "NAME")}


def run(names: list[str]) -> Iterator[dict[str, object]]:
    """Run these and give their figures as they come."""
    known = modules()
    for name in names or sorted(known):
        if name not in known:
            sys.exit(f"There is no benchmark {name!r}. There are: {', '.join(sorted(known))}.")
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        yield from known[name].run()


def shown(value: object) -> str:
    """A figure for people."""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--name", action="append", default=[], help="only this benchmark")
    parser.add_argument("--json", action="store_true", help="one JSON line a figure")
    arguments = parser.parse_args()
    rows = []
    for row in run(arguments.name):
        rows.append(row)
        if arguments.json:
            print(json.dumps({column: row[column] for column in COLUMNS}), flush=True)
    if not arguments.json:
        table = Table(*COLUMNS)
        for row in rows:
            table.add_row(*(shown(row[column]) for column in COLUMNS))
        Console().print(table)
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
