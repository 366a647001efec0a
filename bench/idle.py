"""What the embedded platform costs when nobody uses it: memory, and the time until it answers."""

from __future__ import annotations

import time
import urllib.request

import psutil

from bench.house import median, platform, row
from embedded.commands.control import start, stop
from embedded.lock import Running

NAME = "idle"
MEMORY_MB = 350.0
START_SECONDS = 3.0
RUNS = 5
SETTLE_SECONDS = 3.0


def run() -> list[dict]:
    """Resident memory of the platform's processes, and the median time of starts on an existing state folder."""
    with platform() as (running, settings):
        time.sleep(SETTLE_SECONDS)
        memory = resident_mb(running)
        starts = []
        for _ in range(RUNS):
            stop(settings, quietly=True)
            began = time.perf_counter()
            urllib.request.urlopen(f"{start(settings).address}/healthz").read()
            starts.append(time.perf_counter() - began)
    took = median(starts)
    return [
        row("idle.memory", memory, "MB", MEMORY_MB, goal=f"<= {MEMORY_MB:.0f} MB", met=memory <= MEMORY_MB),
        row("idle.start", took, "s", START_SECONDS, goal=f"<= {START_SECONDS:.0f} s", met=took <= START_SECONDS),
    ]


def resident_mb(running: Running) -> float:
    """The resident memory of the platform and its children, in MB (10^6 bytes)."""
    main = psutil.Process(running.pid)
    return sum(process.memory_info().rss for process in [main, *main.children(recursive=True)]) / 1e6
