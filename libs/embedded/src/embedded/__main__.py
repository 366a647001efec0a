"""`python -m embedded`: serve, up, down, status and demo."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from common.kernel.errors import Problem


def main(arguments: list[str] | None = None) -> int:
    """Run one command; a problem is one clear line and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m embedded", description="Modelyard in one process")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run the platform in the foreground")
    commands.add_parser("up", help="start it in the background and say where it is")
    down = commands.add_parser("down", help="stop it; running jobs and services go on")
    down.add_argument("--workloads", action="store_true", help="end the running jobs and services too")
    commands.add_parser("status", help="say whether it runs, and where")
    demo = commands.add_parser("demo", help="the main job on real data")
    demo.add_argument("--keep", action="store_true", help="keep the platform running and its state afterwards")
    chosen = parser.parse_args(arguments)
    try:
        return _run(chosen)
    except Problem as problem:
        print(f"{problem.title}: {problem.detail} ({problem.code})", file=sys.stderr)
    except OSError as error:
        print(f"Can't start: {error.strerror or error} ({error.filename or 'address'})", file=sys.stderr)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    return 1


@contextmanager
def _importing() -> Iterator[None]:
    """What is imported stays: to look through it for garbage meanwhile takes a quarter of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _run(chosen: argparse.Namespace) -> int:
    # each command imports what it needs: `status` and `down` answer at once
    if chosen.command == "serve":
        with _importing():
            from embedded.commands.serve import serve_here
        return serve_here()
    if chosen.command == "demo":
        from embedded.commands.demo import demo

        return demo(keep=chosen.keep)
    from embedded.commands import control

    if chosen.command == "up":
        return control.up()
    if chosen.command == "down":
        return control.down(workloads=chosen.workloads)
    return control.status()


if __name__ == "__main__":
    sys.exit(main())
