"""`python -m train_svc simulate`: what the scheduler would make of a trace."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from train_svc.simulate.plot import draw
from train_svc.simulate.report import report, words
from train_svc.simulate.running import simulate
from train_svc.simulate.traces import SHAPES, read


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a trace and say what came of it. Exit code 2 where the trace can't be read."""
    parser = argparse.ArgumentParser(prog="python -m train_svc simulate", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("trace", nargs="?", type=Path, help="a file of JSON lines: nodes, queues and jobs")
    source.add_argument("--shape", choices=sorted(SHAPES), help="one that is made up")
    parser.add_argument("--preempt", action="store_true", help="let shapes preempt (a trace's jobs say so themselves)")
    parser.add_argument("--plot", type=Path, help="write a picture there (PNG)")
    parser.add_argument("--json", action="store_true", help="the figures as one JSON line")
    chosen = parser.parse_args(arguments)
    try:
        trace = SHAPES[chosen.shape](chosen.preempt) if chosen.shape else read(chosen.trace)
    except (OSError, ValueError) as wrong:
        sys.stderr.write(f"{wrong}\n")
        return 2
    outcome = simulate(trace)
    found = report(outcome)
    sys.stdout.write(f"{json.dumps(asdict(found)) if chosen.json else words(trace.name, found)}\n")
    if chosen.plot:
        draw(outcome, chosen.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
