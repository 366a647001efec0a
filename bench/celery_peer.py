"""Celery with `acks_late` on the same broker, for `bench/bus`, in two shapes. No results, sent by `send_task`.

*Plain* is Celery as its manual sets it up: a classic queue, nothing confirmed to the sender, and for an effect one byte
at the end of a file, which costs it nothing. It promises less than we do: what was committed can be lost on its way.

*Like for like* is what its users set up to lose nothing but what falls between commit and send (`on_commit`), which an
outbox does not lose: a quorum queue, publisher confirms, and an effect that each task commits to PostgreSQL, guarded by
a unique row. Its sends come from ten threads, as many as Celery's pool has connections, because each waits for its
confirm. The workers keep one connection each and speak asyncpg, which is the fastest there is.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from celery import Celery

BROKER, EFFECTS, DATABASE = "BENCH_BROKER", "BENCH_EFFECTS", "BENCH_DATABASE"
START_SECONDS = 60.0
WARM = 50
SENDERS = 10
LOOK_SECONDS = 0.005

QUORUM = {"task_default_queue_type": "quorum", "broker_transport_options": {"confirm_publish": True}}


@dataclass(frozen=True)
class Shape:
    """How many processes work, how many threads send, and what is set besides."""

    workers: int
    senders: int
    settings: dict[str, Any]


PLAIN = Shape(workers=2, senders=1, settings={})
LIKE = Shape(workers=4, senders=SENDERS, settings=QUORUM)


def made(broker: str | None, database: str) -> Celery:
    """An app in the shape that goes with that database, or with none."""
    shape = LIKE if database else PLAIN
    app = Celery("bench", broker=broker)
    app.conf.update(task_acks_late=True, task_ignore_result=True, worker_concurrency=shape.workers, **shape.settings)
    return app


app = made(os.environ.get(BROKER), os.environ.get(DATABASE, ""))


@app.task(name="bench.effect")
def effect(message: str) -> None:
    """The effect of one message that costs nothing."""
    with Path(os.environ[EFFECTS]).open("ab", buffering=0) as effects:
        effects.write(b".")


@app.task(name="bench.commit")
def commit(name: str, message: str) -> None:
    """The effect of one message in a transaction of its own; done once however often it comes."""
    _Connection.kept().execute("INSERT INTO effects VALUES ($1) ON CONFLICT DO NOTHING", name)


class _Connection:
    """A connection to PostgreSQL for callers that are not asynchronous."""

    _of_this_process: _Connection | None = None

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(asyncpg.connect(url))

    @classmethod
    def kept(cls) -> _Connection:
        """The one of a worker's process, which is forked before."""
        if cls._of_this_process is None:
            cls._of_this_process = cls(os.environ[DATABASE])
        return cls._of_this_process

    def execute(self, statement: str, *values: object) -> None:
        """One statement, committed."""
        self._loop.run_until_complete(self._connection.execute(statement, *values))

    def count(self) -> int:
        """How many effects there are."""
        found = self._loop.run_until_complete(self._connection.fetchval("SELECT count(*) FROM effects"))
        return int(found)

    def close(self) -> None:
        """Give it back."""
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()


def plain(broker: str, messages: Sequence[bytes]) -> float:
    """Messages a second, from the first publish to the last effect, of the plain shape."""
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder:
        effects = Path(folder) / "effects"
        effects.touch()
        tasks = [("bench.effect", [message.decode()]) for message in messages]
        return _rate(broker, "", tasks, effects, lambda: effects.stat().st_size)


def like_for_like(broker: str, database: str, messages: Sequence[bytes]) -> float:
    """The same of the other shape; `database` is where the table `effects (id)` is."""
    counting = _Connection(database)
    try:
        with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder:
            tasks = [("bench.commit", [f"celery-{n}", message.decode()]) for n, message in enumerate(messages)]
            return _rate(broker, database, tasks, Path(folder) / "effects", counting.count)
    finally:
        counting.close()


def _rate(broker: str, database: str, tasks: list[Any], effects: Path, count: Callable[[], int]) -> float:
    """The first tasks are sent twice: once beforehand, so that everything is running and connected."""
    sender, shape = made(broker, database), LIKE if database else PLAIN
    warm = [
        (name, [f"warm-{n}", *arguments[1:]] if database else arguments)
        for n, (name, arguments) in enumerate(tasks[:WARM])
    ]
    with _worker(broker, database, effects), ThreadPoolExecutor(shape.senders) as threads:

        def send(task: tuple[str, list[str]]) -> None:
            sender.send_task(*task)

        list(threads.map(send, warm))
        _until(count, len(warm))
        began = time.perf_counter()
        list(threads.map(send, tasks))
        _until(count, len(warm) + len(tasks))
        took = time.perf_counter() - began
        sender.close()
    return len(tasks) / took


@contextmanager
def _worker(broker: str, database: str, effects: Path) -> Iterator[None]:
    root = str(Path(__file__).parents[1])
    command = [sys.executable, "-m", "celery", "-A", "bench.celery_peer", "worker", "--loglevel", "ERROR"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    settings = {
        BROKER: broker,
        EFFECTS: str(effects),
        DATABASE: database,
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


def _until(count: Callable[[], int], wanted: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while (done := count()) < wanted:
        if time.monotonic() > deadline:
            raise RuntimeError(f"Celery's worker did {done} of {wanted} tasks and no more.")
        time.sleep(LOOK_SECONDS)
