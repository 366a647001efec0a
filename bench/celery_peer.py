"""Celery as its manual sets it up, for `bench/bus`: durable queue, `acks_late`, no results, a worker of two processes.

A task's effect is one byte at the end of a file, so that its count can be seen from outside and costs it nothing.
Celery's own defaults are kept otherwise: no publisher confirms and a classic queue, which is less than ours promises.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from celery import Celery

BROKER, EFFECTS = "BENCH_BROKER", "BENCH_EFFECTS"
START_SECONDS = 60.0
WARM = 50

app = Celery("bench", broker=os.environ.get(BROKER))
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_concurrency=2)


@app.task(name="bench.effect")
def effect(message: str) -> None:
    """The effect of one message."""
    with Path(os.environ[EFFECTS]).open("ab", buffering=0) as effects:
        effects.write(b".")


def rate(broker: str, messages: list[bytes]) -> float:
    """Messages a second, from the first publish to the last effect."""
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder:
        effects = Path(folder) / "effects"
        effects.touch()
        with _worker(broker, effects):
            sender = Celery("bench", broker=broker)
            for _ in range(WARM):
                sender.send_task("bench.effect", ["warm"])
            _until(effects, WARM)
            began = time.perf_counter()
            for message in messages:
                sender.send_task("bench.effect", [message.decode()])
            _until(effects, WARM + len(messages))
            took = time.perf_counter() - began
            sender.close()
    return len(messages) / took


@contextmanager
def _worker(broker: str, effects: Path) -> Iterator[None]:
    root = str(Path(__file__).parents[1])
    command = [sys.executable, "-m", "celery", "-A", "bench.celery_peer", "worker", "--loglevel", "ERROR"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    settings = {
        BROKER: broker,
        EFFECTS: str(effects),
        "PYTHONPATH": root,
        "C_FORCE_ROOT": "1",
        "PYTHONWARNINGS": "ignore",
    }
    child = subprocess.Popen(
        command + quiet, cwd=effects.parent, env={**os.environ, **settings}, stdout=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        child.terminate()
        child.wait(30)


def _until(effects: Path, count: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while effects.stat().st_size < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"Celery's worker did {effects.stat().st_size} of {count} tasks and no more.")
        time.sleep(0.002)
