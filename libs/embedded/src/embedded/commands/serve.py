"""`serve`: the platform in the foreground, until it is told to stop."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from common.telemetry import logs, traces
from embedded.house import House, serve
from embedded.settings import Settings


def serve_here() -> int:
    """Run until SIGTERM or Ctrl-C. The log goes to standard error, what people need to standard output."""
    settings = Settings()
    logs.set_up(settings.log_level, settings.log_format)
    traces.set_up("modelyard")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, _say))
    return 0


def _say(address: str, house: House) -> None:
    print(f"Modelyard answers at {address}", flush=True)
    for note in house.notes():
        print(f"Note: {note}", flush=True)
    sys.stdout.flush()
