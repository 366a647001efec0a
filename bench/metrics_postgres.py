"""Points of learning curves with PostgreSQL behind, services in processes of their own, against rows straight into it.

The peer is the fastest way in that PostgreSQL has: COPY (asyncpg), 1,000 rows a transaction, into a table keyed by
(series, step), and the plain query for a curve. Both write and read in turns, on a server that waits for its disk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import asyncpg

from bench.house import row
from bench.metrics import BATCH, POINTS, Api, interleaved, prepare
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import Rclone
from tests.support.cluster import Cluster, cluster
from tests.support.process import ADMIN_PASSWORD

NAME = "metrics_postgres"
WRITE_GOAL = 0.45
READ_GOAL = 3.0


def run() -> list[dict]:
    """Points a second written in batches, and seconds for a whole curve."""
    with services() as (running, postgres), running.client() as client, Direct(postgres) as peer:
        token = client.login("admin", ADMIN_PASSWORD)["token"]
        made = client.jobs.create(**prepare(client))
        client.jobs.wait(made["id"], timeout=60)
        with Api(urlsplit(running.address).netloc, token, made["id"]) as api:
            batches, rows = interleaved(api.write, peer.write)
            whole, query = interleaved(lambda _: api.read("?points=0"), lambda _: peer.read())
    written, copied = POINTS / batches, POINTS / rows
    goal = f">= {WRITE_GOAL} of COPY"
    ours = row("metrics_postgres.batches", written, "points/s", copied, goal=goal, met=written >= WRITE_GOAL * copied)
    name, most = "metrics_postgres.read_whole", READ_GOAL * query
    return [ours, row(name, whole * 1e3, "ms", query * 1e3, goal=f"<= {READ_GOAL:.0f} x direct", met=whole <= most)]


@contextmanager
def services() -> Iterator[tuple[Cluster, Postgres]]:
    """The six services on servers of their own."""
    servers = rabbitmq, postgres, s3 = RabbitMQ(), Postgres(durable=True), Rclone(cached=False)
    try:
        for server in servers:
            server.start()
        with cluster(rabbitmq, postgres, s3, YARD_LOG_LEVEL="WARNING") as running:
            yield running, postgres
    finally:
        for server in servers:
            server.close()


class Direct:
    """Rows straight into PostgreSQL, on one connection."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self._runner = asyncio.Runner()

    def __enter__(self) -> Direct:
        url = self._runner.run(self._postgres.create()).replace("+asyncpg", "")
        self._connection = self._runner.run(asyncpg.connect(url))
        table = "CREATE TABLE points (series INT, step INT, value FLOAT8, PRIMARY KEY (series, step))"
        self._runner.run(self._connection.execute(table))
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()

    def write(self, series: int) -> float:
        """Seconds for 100,000 rows in batches."""
        rows = [(series, step, step * 0.001) for step in range(POINTS)]
        return self._runner.run(self._copied(rows))

    async def _copied(self, rows: list[tuple[int, int, float]]) -> float:
        began = time.perf_counter()
        for start in range(0, POINTS, BATCH):
            async with self._connection.transaction():
                await self._connection.copy_records_to_table("points", records=rows[start : start + BATCH])
        return time.perf_counter() - began

    def read(self) -> float:
        """Seconds for one curve."""
        return self._runner.run(self._read())

    async def _read(self) -> float:
        began = time.perf_counter()
        found = await self._connection.fetch("SELECT step, value FROM points WHERE series = 0 ORDER BY step")
        assert len(found) == POINTS
        return time.perf_counter() - began
