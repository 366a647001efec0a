"""What the tests of serving-svc share: replicas that a test makes answer or fail, and a ledger that grants all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import select

from common.contracts.allocation import (
    AllocationGranted,
    AllocationPreempting,
    AllocationRefused,
    AllocationReleased,
    AllocationRequested,
)
from common.contracts.model import Lineage, ModelPublished
from common.contracts.shared import (
    InferencePart,
    Interface,
    InterfaceInput,
    ManifestRef,
    Placement,
    Visibility,
)
from common.db.inbox import Heard
from common.db.tables import outbox
from common.db.uow import UnitOfWork
from common.kernel.ids import new_id
from common.manifests import store_bytes
from common.ports.runtime import Handle, LaunchSpec
from common.service import Kit, Platform, Service
from common.web.app import create_app
from common.web.holds import hold_routes
from serving_svc.service import build
from serving_svc.settings import Settings
from tests.support.fake_runtime import FakeRuntime
from tests.support.platform import House, running

QUICK = Settings(
    probe_starting=0.02,
    probe_running=0.02,
    drain_seconds=0.02,
    retry_first=0.02,
    retry_longest=0.1,
    probe_timeout=0.5,
    replace_after=4,
    kept_replicas=3,
)


class Replicas(FakeRuntime):
    """A runtime whose workloads answer at addresses of their own: `health` by replica id, `default` for the rest."""

    def __init__(self) -> None:
        super().__init__()
        self.default = 200
        self.health: dict[str, int] = {}
        self.heard: list[httpx2.Request] = []
        self.answer = httpx2.Response(200, json={"label": "7"})
        self.stopped_in_order: list[str] = []

    async def launch(self, spec: LaunchSpec) -> Handle:
        handle = await super().launch(spec)
        one = self.workloads[spec.workload]
        if one.seen.address is not None:
            one.seen = replace(one.seen, address=f"http://{spec.workload}.test")
        return handle

    async def stop(self, handle: Handle, grace: float = 10.0, notice: str = "") -> None:
        self.stopped_in_order.append(handle["workload"])
        await super().stop(handle, grace, notice)

    def respond(self, request: httpx2.Request) -> httpx2.Response:
        replica = request.url.host.removesuffix(".test")
        if replica not in self.workloads:
            raise httpx2.ConnectError("nobody is there")
        if request.url.path == "/health":
            return httpx2.Response(self.health.get(replica, self.default))
        self.heard.append(request)
        return self.answer

    @property
    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.MockTransport(self.respond))


@dataclass
class Ledger:
    """train-svc as far as serving needs it: capacity for `room` replicas, models to hold, events in both directions."""

    room: int = 100
    refuse: bool = False
    holds: set[str] = field(default_factory=set)
    granted: list[str] = field(default_factory=list)
    waiting: list[AllocationRequested] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    asked: list[AllocationRequested] = field(default_factory=list)
    kit: Kit = field(init=False)

    def train(self, platform: Platform) -> Service:
        kit = self.kit = platform.kit("train-svc")

        async def on_requested(uow: UnitOfWork, heard: Heard[AllocationRequested]) -> None:
            asked = heard.data
            self.asked.append(asked)
            if self.refuse:
                refused = AllocationRefused(id=asked.id, workload=asked.workload, code="never", reason="It never fits.")
                uow.emit(refused, subject=asked.id)
            elif len(self.granted) - len(self.released) >= self.room:
                self.waiting.append(asked)
            else:
                await self._grant(uow, asked)

        async def on_released(uow: UnitOfWork, heard: Heard[AllocationReleased]) -> None:
            self.released.append(heard.data.workload)
            if self.waiting:
                await self._grant(uow, self.waiting.pop(0))

        async def model_exists(_uow: UnitOfWork, item: str) -> None:
            self.holds.add(item)

        routes = hold_routes(lambda: kit.store, "models", model_exists)
        app = create_app("train-svc", "Ledger", platform.keyring, routes)
        return Service(kit, app, {AllocationRequested: [on_requested], AllocationReleased: [on_released]})

    async def preempt(self, workload: str, *, moving: bool = False, grace: float = 30) -> None:
        """Tell that a replica is to give way, or that its node is drained."""
        async with self.kit.store.work() as uow:
            told = AllocationPreempting(id=f"alloc-{workload}", workload=workload, grace=grace, moving=moving)
            uow.emit(told, subject=told.id)

    async def _grant(self, uow: UnitOfWork, asked: AllocationRequested) -> None:
        self.granted.append(asked.workload)
        place = (Placement(node="here"),)
        uow.emit(AllocationGranted(id=asked.id, workload=asked.workload, placements=place), subject=asked.id)

    def algo(self, platform: Platform) -> Service:
        kit = platform.kit("algo-svc")

        async def exists(_uow: UnitOfWork, item: str) -> None:
            self.holds.add(item)

        app = create_app(
            "algo-svc", "Algorithms", platform.keyring, hold_routes(lambda: kit.store, "algorithms", exists)
        )
        return Service(kit, app)


INTERFACE = Interface(
    name="classify",
    path="/classify",
    style="json",
    inputs=(
        InterfaceInput(name="text", test_value="足球"),
        InterfaceInput(name="top", type="Integer", required=False, test_value="3"),
    ),
)


@dataclass
class Yard:
    """A house with serving-svc, its ledger and its replicas, and alice's client."""

    house: House
    replicas: Replicas
    ledger: Ledger

    @property
    def alice(self) -> httpx2.AsyncClient:
        return self.house.client("serving-svc")

    async def publish(self, interface: Interface | None = INTERFACE, program: bytes = b"...", **changes: Any) -> str:
        """A model is published; gives the id of its service once it is there."""
        files = self.house.platform.files
        model = await store_bytes(files, {"model.bin": b"weights"}, f"models/{new_id('model')}")
        code = await store_bytes(files, {"serve.py": program}, f"algorithms/{new_id('algo')}")
        event = published(model, code, interface, **changes)
        async with self.house.service("train-svc").kit.store.work(actor="alice") as uow:
            uow.emit(event, subject=event.id, owner=event.owner)
        await self.until(lambda: self._exists(event.service_id))
        return event.service_id

    async def _exists(self, service: str) -> bool:
        return (await self.alice.get(f"/services/{service}")).status_code == 200

    async def show(self, service: str) -> dict[str, Any]:
        return dict((await self.alice.get(f"/services/{service}")).json())

    async def reach(self, service: str, state: str, ready: int | None = None) -> dict[str, Any]:
        """Wait until the service is in that state (and has so many ready replicas); gives it."""
        seen: dict[str, Any] = {}

        async def there() -> bool:
            seen.update(await self.show(service))
            return bool(seen["state"] == state and (ready is None or seen["ready"] == ready))

        try:
            await self.until(there)
        except TimeoutError as late:
            raise AssertionError(f"not {state} with {ready} ready, but {seen}") from late
        return seen

    async def act(self, service: str, verb: str, **body: Any) -> httpx2.Response:
        return await self.alice.post(f"/services/{service}/{verb}", json=body or None)

    async def listed(self, service: str) -> list[dict[str, Any]]:
        return list((await self.alice.get(f"/services/{service}/replicas")).json()["items"])

    async def events(self, service: str) -> list[tuple[str, dict[str, Any]]]:
        """What was told of a service so far: type and content."""
        async with self.house.service("serving-svc").kit.store.reading() as connection:
            rows = await connection.execute(
                select(outbox.c.type, outbox.c.payload).where(outbox.c.subject == service).order_by(outbox.c.id)
            )
            return [(row.type, json.loads(row.payload)["data"]) for row in rows]

    async def launched(self, number: int) -> None:
        """Wait until so many replicas were started, in all."""

        async def enough() -> bool:
            return len(self.replicas.started) >= number

        await self.until(enough)

    async def all_released(self) -> None:
        """Whatever capacity was granted comes back."""

        async def released() -> bool:
            return sorted(self.ledger.granted) == sorted(self.ledger.released)

        await self.until(released)

    async def until(self, holds: Callable[[], Awaitable[bool]], seconds: float = 180.0) -> None:
        async with asyncio.timeout(seconds):
            while not await holds():
                await asyncio.sleep(0.01)


def published(
    model: ManifestRef,
    code: ManifestRef,
    interface: Interface | None,
    command: tuple[str, ...] = ("python", "serve.py"),
    **changes: Any,
) -> ModelPublished:
    fields: dict[str, Any] = {
        "id": new_id("model"),
        "name": "digits",
        "owner": "alice",
        "visibility": Visibility.PRIVATE,
        "purpose": "text/classification",
        "manifest": model,
        "lineage": Lineage(job_id="job-1", attempt=1, algorithm_id="algo-1", algorithm_name="bayes"),
        "service_id": new_id("svc"),
        "service_name": "数字识别",
        "description": "Reads digits",
        "inference": InferencePart(code=code, command=command, interface=interface),
    }
    return ModelPublished(**fields | changes)


@asynccontextmanager
async def yard(
    home: Path,
    replicas: Replicas | None = None,
    ledger: Ledger | None = None,
    settings: Settings = QUICK,
    *,
    processes: bool = False,
) -> AsyncIterator[Yard]:
    """serving-svc with its ledger on `home`; with `processes` its replicas are real ones."""
    replicas, ledger = replicas or Replicas(), ledger or Ledger()

    def serving(platform: Platform) -> Service:
        return build(platform, settings, None if processes else replicas.client)

    overrides = {} if processes else {"runtime": replicas}
    async with running(home, [ledger.train, ledger.algo, serving], **overrides) as house:
        yield Yard(house, replicas, ledger)
