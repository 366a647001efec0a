"""Points of learning curves through the API and through a job's metrics file, against rows straight into SQLite.

The peer keeps the same durability (WAL, synchronous NORMAL) and answers the same question, a curve in the order of
steps: a table keyed by (series, step), written with the driver from Python, in batches of 1,000 or one commit a row.
Both write and read in turns. Batches come over a few connections, as from the workers of a job; SQLite itself has one
writer. A job that appends points one by one is timed from its first point until the API has its last one.
"""

from __future__ import annotations

import http.client
import json
import sqlite3
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.house import median, password, platform, row
from yard import Client

NAME = "metrics"
POINTS = 100_000
BATCH = 1000
SINGLES = 5_000
CONNECTIONS = 4
TIMES = 5
WRITE_GOAL = 0.3
READ_GOAL = 3.0

SCRIPT = f"""
import json, os, time
print(time.time_ns(), flush=True)
with open(os.environ["YARD_METRICS"], "a", buffering=1) as metrics:
    for step in range({POINTS}):
        metrics.write(json.dumps({{"step": step, "loss": step * 0.001}}) + "\\n")
"""


def run() -> list[dict]:
    """Points a second written, and seconds for a whole and a thinned curve."""
    with platform() as (running, settings), Client(running.address) as client, direct() as peer:
        token = client.login("admin", password(settings))["token"]
        job = prepare(client)
        singles = one_by_one(client, job)
        made = client.jobs.create(**job)
        client.jobs.wait(made["id"], timeout=60)
        with Api(urlsplit(running.address).netloc, token, made["id"]) as api:
            batches, rows = interleaved(api.write, peer.write_batches)
            whole, query = interleaved(lambda _: api.read("?points=0"), lambda _: peer.read())
            thinned, _ = interleaved(lambda _: api.read("?points=2500"), lambda _: 0.0)
        commits = peer.write_singles()
    return [
        _written("metrics.batches", POINTS / batches, POINTS / rows),
        _written("metrics.one_by_one", singles, commits),
        _read("metrics.read_whole", whole, query),
        _read("metrics.read_thinned", thinned, query),
    ]


def _written(name: str, rate: float, limit: float) -> dict:
    return row(name, rate, "points/s", limit, goal=f">= {WRITE_GOAL} of direct", met=rate >= WRITE_GOAL * limit)


def _read(name: str, seconds: float, limit: float) -> dict:
    return row(
        name, seconds * 1e3, "ms", limit * 1e3, goal=f"<= {READ_GOAL:.0f} x direct", met=seconds <= READ_GOAL * limit
    )


def interleaved(one: Callable[[int], float], other: Callable[[int], float]) -> tuple[float, float]:
    """The median seconds of two things done in turns."""
    ones, others = [], []
    for turn in range(TIMES):
        ones.append(one(turn))
        others.append(other(turn))
    return median(ones), median(others)


class Api:
    """Connections to the gateway, as the workers of a job have them."""

    def __init__(self, address: str, token: str, job: str) -> None:
        self._wires = [http.client.HTTPConnection(address) for _ in range(CONNECTIONS)]
        self._workers = ThreadPoolExecutor(CONNECTIONS)
        self._path = f"/api/v1/jobs/{job}/metrics"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.shutdown()
        for wire in self._wires:
            wire.close()

    def write(self, turn: int) -> float:
        """Post 100,000 points of a metric of their own in batches; bodies are made before the clock starts."""
        name = f"loss-{turn}"
        bodies = [
            json.dumps([{"step": step, name: step * 0.001} for step in range(start, start + BATCH)])
            for start in range(0, POINTS, BATCH)
        ]
        began = time.perf_counter()
        for _ in self._workers.map(self._post, self._wires, [bodies[n::CONNECTIONS] for n in range(CONNECTIONS)]):
            continue
        return time.perf_counter() - began

    def _post(self, wire: http.client.HTTPConnection, bodies: list[str]) -> None:
        for body in bodies:
            self._answer(wire, "POST", self._path, body)

    def read(self, query: str) -> float:
        """Get one of these curves, as far as its last byte."""
        began = time.perf_counter()
        content = self._answer(self._wires[0], "GET", f"{self._path}{query}&name=loss-0")
        seconds = time.perf_counter() - began
        found = json.loads(content)["series"]["loss-0"]
        assert len(found) == POINTS or 2000 < len(found) <= 2500, len(found)
        return seconds

    def _answer(self, wire: http.client.HTTPConnection, method: str, path: str, body: str | None = None) -> bytes:
        wire.request(method, path, body, self._headers)
        answer = wire.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return content


class Direct:
    """Rows straight into SQLite."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE points (series INT, step INT, value REAL, PRIMARY KEY (series, step)) WITHOUT ROWID"
        )

    def write_batches(self, series: int) -> float:
        """Seconds for 100,000 rows in batches."""
        rows = [(series, step, step * 0.001) for step in range(POINTS)]
        began = time.perf_counter()
        for start in range(0, POINTS, BATCH):
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO points VALUES (?, ?, ?)", rows[start : start + BATCH])
            self._db.execute("COMMIT")
        return time.perf_counter() - began

    def write_singles(self) -> float:
        """Rows a second, a commit each."""
        began = time.perf_counter()
        for step in range(SINGLES):
            self._db.execute("INSERT INTO points VALUES (?, ?, ?)", (-1, step, step * 0.001))
        return SINGLES / (time.perf_counter() - began)

    def read(self) -> float:
        """Seconds for one curve."""
        began = time.perf_counter()
        found = self._db.execute("SELECT step, value FROM points WHERE series = 0 ORDER BY step").fetchall()
        assert len(found) == POINTS
        return time.perf_counter() - began

    def close(self) -> None:
        """Close the database."""
        self._db.close()


@contextmanager
def direct() -> Iterator[Direct]:
    """The peer's database, beside the platform's."""
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder, closing(Direct(Path(folder) / "d")) as peer:
        yield peer


def one_by_one(client: Client, job: dict[str, Any]) -> float:
    """Points a second from a job that appends them singly, until the API has the last."""
    made = client.jobs.create(**job)
    while client.jobs.show(made["id"])["state"] not in ("succeeded", "failed"):
        time.sleep(0.02)
    done = time.time_ns()
    began = int(client.jobs.log(made["id"])["text"].split()[0])
    curve = client.jobs.metrics(made["id"], points=0)["series"]["loss"]
    assert len(curve) == POINTS, len(curve)
    return POINTS / ((done - began) / 1e9)


def prepare(client: Client) -> dict[str, Any]:
    """A tiny dataset and an algorithm that only reports points; gives what the job is made from."""
    client.engines.create({"name": "plain", "framework": "python", "version": "3", "requirements": []})
    client.engines.build("plain")
    part = {"engine": "plain", "command": ["python", "main.py"]}
    algorithm = client.algorithms.create(
        {"name": "points", "purpose": "text/classification", "formats": ["dir"], "training": part}
    )
    with tempfile.TemporaryDirectory() as folder:
        code, archive = Path(folder) / "code.zip", Path(folder) / "texts.zip"
        with zipfile.ZipFile(code, "w") as packed:
            packed.writestr("main.py", SCRIPT)
        client.algorithms.put_code(algorithm["id"], "training", code)
        with zipfile.ZipFile(archive, "w") as packed:
            for name in (f"{label}/{i}.txt" for label in ("a", "b") for i in range(5)):
                packed.writestr(name, name)
        dataset = client.datasets.create("texts", purpose="text/classification")
        client.datasets.import_(dataset["id"], archive)
    client.algorithms.online(algorithm["id"])
    client.datasets.online(dataset["id"])
    return {"name": "points", "algorithm_id": algorithm["id"], "dataset_id": dataset["id"], "resources": {"cpu": 1}}
