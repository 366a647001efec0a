"""train-svc on a temporary home, with a runtime that does what the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from common.db.tables import outbox
from common.ports.inventory import Device, Node
from common.service import Service
from tests.support.fake_runtime import FakeRuntime
from tests.support.platform import House, running
from tests.train_svc.owners import Owners
from train_svc.context import Context
from train_svc.service import build
from train_svc.settings import Settings

DEADLINE_SECONDS = 180.0


@dataclass
class Nodes:
    """An inventory that the test writes."""

    items: list[Node]

    async def nodes(self) -> list[Node]:
        return list(self.items)


def gpus(count: int, name: str = "one", cpu: float = 8.0) -> Node:
    """A node with so many simulated GPUs."""
    devices = tuple(Device(f"gpu-{n}", "gpu", "A100", 80 << 30, simulated=True) for n in range(count))
    return Node(name, cpu=cpu, memory=64 << 30, devices=devices)


@dataclass
class Yard:
    """train-svc in its house, and short ways to use it."""

    house: House
    runtime: Any
    owners: Owners
    nodes: Nodes
    alice: httpx2.AsyncClient

    @property
    def service(self) -> Service:
        return self.house.service("train-svc")

    @property
    def context(self) -> Context:
        context: Context = self.service.app.state.context
        return context

    def client(self, as_: str | None) -> httpx2.AsyncClient:
        return self.house.client("train-svc", as_)

    async def things(self, **algorithm: Any) -> dict[str, str]:
        """A dataset and an algorithm that train-svc has heard of."""
        platform = self.house.platform
        ids = {
            "dataset_id": await self.owners.dataset(platform),
            "algorithm_id": await self.owners.algorithm(platform, **algorithm),
        }
        await self.quiet()
        return ids

    async def job(self, as_: str = "alice", **body: Any) -> dict[str, Any]:
        """A job that was accepted; with things of its own unless they are given."""
        things = {} if "algorithm_id" in body else await self.things()
        answer = await self.client(as_).post("/jobs", json={"name": "one", **things, **body})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def get(self, path: str, status: int = 200) -> Any:
        answer = await self.alice.get(path)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def until(self, job_id: str, *states: str) -> dict[str, Any]:
        """The job, once it is in one of these states."""

        async def there() -> Any:
            job = await self.get(f"/jobs/{job_id}")
            return job if job["state"] in states else None

        return await eventually(there)

    async def running(self, job_id: str) -> str:
        """The id of the job's attempt, once it runs."""
        await self.until(job_id, "running")
        return (await self.get(f"/jobs/{job_id}/attempts"))["items"][-1]["id"]

    async def events(self, *types: str) -> list[dict[str, Any]]:
        """What train-svc has told, in order."""
        async with self.context.kit.store.reading() as connection:
            rows = (await connection.execute(select(outbox.c.payload).order_by(outbox.c.id))).scalars()
            told = [json.loads(row) for row in rows]
        return [event for event in told if not types or event["type"] in types]

    async def quiet(self) -> None:
        """Wait until every event was heard by all."""

        async def sent() -> bool:
            return not any([await service.relay.waiting() for service in self.house.services.values()])

        await eventually(sent)


async def eventually(check: Callable[[], Awaitable[Any]]) -> Any:
    """What `check` gives once it gives something; fails after a deadline."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not (found := await check()):
            await asyncio.sleep(0.01)
    return found


@asynccontextmanager
async def open_yard(
    home: Path,
    runtime: Any = None,
    owners: Owners | None = None,
    shown: Sequence[Node] = (Node("one", cpu=2.0, memory=8 << 30),),
    **settings: Any,
) -> AsyncIterator[Yard]:
    """train-svc with what it needs; stopped and opened again on the same home it goes on. `shown` is what its inventory
    shows from the start: a look that is under way could still note what it showed before a change."""
    runtime = runtime or FakeRuntime()
    owners, nodes = owners or Owners(), Nodes(list(shown))
    chosen = Settings(stream_poll_seconds=0.02, **settings)
    builds = [owners.datasets.build, owners.algorithms.build, lambda platform: build(platform, chosen)]
    async with running(home, builds, runtime=runtime, inventory=nodes) as house:
        yield Yard(house, runtime, owners, nodes, house.client("train-svc", "alice"))


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    """train-svc over a runtime in memory."""
    async with open_yard(tmp_path) as yard:
        yield yard
