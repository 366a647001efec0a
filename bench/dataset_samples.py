"""`datasets-samples`: pages of samples of a version with 1,000,000 files, through the gateway with an API token.

One client asks one thing after the other: pages from anywhere, pages of one class, and files by a part of their name
(common, rare, and in none). The first search after a start makes the node's index of names and is told apart.
`MODELYARD_BENCH_SAMPLES` makes the version smaller.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil

from bench.dataset_import import CLASSES, make, tmpfs
from bench.house import password, percentile, platform, row
from yard import Client

NAME = "datasets-samples"
FILES = int(os.environ.get("MODELYARD_BENCH_SAMPLES", 1_000_000))
QUESTIONS = 200
P95_MS = 50.0
FILE_BYTES = 16
IMPORT_SECONDS = 1800.0

Query = dict[str, Any]


def run() -> list[dict[str, Any]]:
    """Milliseconds at p95 of each kind of question."""
    with platform() as (running, settings), Client(running.address) as client:
        token = client.login("admin", password(settings))["token"]
        dataset, took = _dataset(client)
        asking = _Asking(running.address, token, dataset)
        asking.ask({})
        first = asking.ask({"q": _name(1)})
        server = psutil.Process(running.pid)
        rows = [each for name, query in _questions().items() for each in _rows(name, asking, query, server)]
        asking.close()
    return [
        *rows,
        row("samples: the first search", first / 1000, "s", first / 1000, goal="reported", met=True),
        row(f"samples: import of {FILES:,} files", took, "s", took, goal="reported", met=True),
    ]


def _rows(name: str, asking: _Asking, query: Callable[[], Query], server: psutil.Process) -> list[dict[str, Any]]:
    """What is waited for, and what the platform computes for one answer, which a busy machine does not change much."""
    before = server.cpu_times()
    value = percentile([asking.ask(query()) for _ in range(QUESTIONS)], 0.95)
    after = server.cpu_times()
    cpu = (after.user + after.system - before.user - before.system) * 1000 / QUESTIONS
    return [
        row(f"samples: {name}, p95", value, "ms", P95_MS, goal=f"< {P95_MS:.0f} ms", met=value < P95_MS),
        row(f"samples: {name}, CPU", cpu, "ms", P95_MS, goal="reported", met=True),
    ]


def _questions() -> dict[str, Callable[[], Query]]:
    """What is asked, each time of another place."""
    chance = random.Random(7)

    def number() -> int:
        return chance.randrange(FILES)

    def label() -> str:
        return f"topic-{chance.randrange(CLASSES)}"

    return {
        "pages": lambda: {"cursor": _cursor(number())},
        "pages of 500": lambda: {"cursor": _cursor(number()), "limit": 500},
        "pages of a class": lambda: {"class": f"topic-{(at := number()) % CLASSES}", "cursor": _cursor(at)},
        "one name": lambda: {"q": _name(number())},
        "names with some digits": lambda: {"q": f"{number():06}"[:3]},
        "a name in a class": lambda: {"q": f"{number():06}"[:4], "class": label()},
        "a name that none has": lambda: {"q": f"no-{number()}"},
    }


def _name(number: int) -> str:
    return f"article-{number:06}"


def _cursor(number: int) -> str:
    """Of the first version, at that file, as a page before it would have given."""
    path = f"topic-{number % CLASSES}/{_name(number)}.txt"
    return base64.urlsafe_b64encode("\0".join(("1", "0", path)).encode()).decode().rstrip("=")


def _dataset(client: Client) -> tuple[str, float]:
    """A dataset of so many tiny texts, and the seconds that its import took."""
    dataset: str = client.datasets.create("many", purpose="text/classification")["id"]
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-", dir=tmpfs()) as folder:
        archive = make(Path(folder) / "many.zip", FILES, FILE_BYTES)
        begun = client.datasets.upload(dataset, archive)
    began = time.perf_counter()
    client.wait_import(dataset, begun["id"], timeout=IMPORT_SECONDS)
    return dataset, time.perf_counter() - began


class _Asking:
    """One connection over which samples are asked for."""

    def __init__(self, address: str, token: str, dataset: str) -> None:
        where = urlsplit(address)
        self._connection = http.client.HTTPConnection(where.hostname or "", where.port)
        self._headers = {"Authorization": f"Bearer {token}"}
        self._path = f"/api/v1/datasets/{dataset}/samples"

    def ask(self, query: Query) -> float:
        """Milliseconds until the whole answer is there."""
        began = time.perf_counter()
        self._connection.request("GET", f"{self._path}?{urlencode(query)}", headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        took = (time.perf_counter() - began) * 1000
        assert answer.status == 200, body
        assert "items" in json.loads(body)
        return took

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()
