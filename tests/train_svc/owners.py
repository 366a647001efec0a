"""dataset-svc and algo-svc as train-svc sees them: events, snapshots and holds, and nothing behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Response

from common import manifests
from common.contracts.algorithm import AlgorithmOffline, AlgorithmOnline, AlgorithmSnapshot
from common.contracts.dataset import (
    DatasetOffline,
    DatasetOnline,
    DatasetSnapshot,
    DatasetVersion,
    FormattedSetFacts,
)
from common.contracts.shared import InferencePart, Interface, Parameter, TrainingPart, Visibility
from common.kernel.errors import Conflict, NotFound, Unavailable
from common.kernel.ids import new_id
from common.service import Platform, Service
from common.web.access import Permission, permits
from common.web.app import create_app

PARAMETERS = (
    Parameter(name="epochs", type="integer", default=2, minimum=1, maximum=100),
    Parameter(name="rate", type="number", default=0.1, minimum=0, maximum=1),
    Parameter(name="color", type="string", default="gray", choices=("gray", "rgb")),
    Parameter(name="shuffle", type="boolean", default=True),
)


@dataclass
class Owner:
    """One of the two services: what it owns, who holds it, and whether it is down."""

    name: str
    snapshots: dict[str, Any] = field(default_factory=dict)
    unfinished: dict[str, str] = field(default_factory=dict)
    holds: set[tuple[str, str]] = field(default_factory=set)
    asked: int = 0
    down: bool = False
    service: Service | None = None

    def build(self, platform: Platform) -> Service:
        router = APIRouter()

        @router.get("/{collection}/{item}/snapshot", **permits(Permission.SERVICE))
        async def snapshot(item: str, version: int | None = None) -> Any:
            self.asked += 1
            self._check(item)
            if item in self.unfinished:
                raise Conflict("set_not_ready", f"{item} is building: wait.", owner=self.unfinished[item])
            return self.snapshots[item if version is None else f"{item}@{version}"].model_dump(mode="json")

        @router.put("/{collection}/{item}/holds/{holder}", status_code=204, **permits(Permission.SERVICE))
        async def hold(item: str, holder: str) -> Response:
            self._check(item)
            self.holds.add((item, holder))
            return Response(status_code=204)

        @router.delete("/{collection}/{item}/holds/{holder}", status_code=204, **permits(Permission.SERVICE))
        async def release(item: str, holder: str) -> Response:
            if self.down:
                raise Unavailable("away", "It is away for a while.")
            self.holds.discard((item, holder))
            return Response(status_code=204)

        kit = platform.kit(self.name)
        self.service = Service(kit, create_app(self.name, self.name, platform.keyring, router))
        return self.service

    def _check(self, item: str) -> None:
        if self.down:
            raise Unavailable("away", "It is away for a while.")
        if item not in self.snapshots:
            raise NotFound("not_found", f"There is no {item}.")

    async def tell(self, event: Any) -> None:
        """Emit it, as the owner does in its transaction."""
        assert self.service is not None
        async with self.service.kit.store.work() as uow:
            uow.emit(event, subject=event.id, owner=getattr(event, "owner", None))


@dataclass
class Owners:
    """Both, with ways to make things."""

    datasets: Owner = field(default_factory=lambda: Owner("dataset-svc"))
    algorithms: Owner = field(default_factory=lambda: Owner("algo-svc"))

    async def dataset(
        self,
        platform: Platform,
        *,
        tell: bool = True,
        test: bool = False,
        files: dict[str, bytes] | None = None,
        **fields: Any,
    ) -> str:
        """A dataset of eight tiny files in two classes, online; with `test`, an independent test set."""
        ds_id = new_id("ds")
        files = files or {f"{label}/{n}.txt": f"{label} {n}".encode() for label in ("cat", "dog") for n in range(4)}
        train = await manifests.store_bytes(platform.files, files, f"datasets/{ds_id}/train")
        tests = await manifests.store_bytes(platform.files, files, f"datasets/{ds_id}/test") if test else None
        version = DatasetVersion(
            id=new_id("dsv"), number=1, digest=train.digest, train=train, test=tests, classes=("cat", "dog")
        )
        facts = {
            "id": ds_id,
            "name": "猫狗",
            "owner": "alice",
            "visibility": Visibility.PRIVATE,
            "purpose": "image/classification",
            "annotation": "class",
            "format": "dir",
            "test_mode": "independent" if test else "ratio",
            "online": True,
            "version": version,
            **fields,
        }
        self.datasets.snapshots[ds_id] = DatasetSnapshot(**facts)
        if tell:
            await self.datasets.tell(DatasetOnline(**facts))
        return ds_id

    async def formatted(self, platform: Platform, ds_id: str, **fields: Any) -> str:
        """A set of 80 % of a dataset, its files as they are unless another format is said."""
        set_id = new_id("set")
        dataset = self.datasets.snapshots[ds_id]
        files = {f"{label}/{n}.txt": f"{label} {n}".encode() for label in ("cat", "dog") for n in range(3)}
        facts = {
            "id": set_id,
            "name": "猫狗 80%",
            "owner": "alice",
            "format": "raw",
            "dataset_id": ds_id,
            "dataset_version": dataset.version.number,
            "dataset_digest": dataset.version.digest,
            "share": 0.8,
            "manifest": await manifests.store_bytes(platform.files, files, f"sets/{set_id}"),
            "classes": ("cat", "dog"),
            "dataset": dataset,
            "side": "train",
            "ratio": 0.8,
            **fields,
        }
        self.datasets.snapshots[set_id] = FormattedSetFacts(**facts)
        return set_id

    async def algorithm(
        self,
        platform: Platform,
        *,
        tell: bool = True,
        code: dict[str, bytes] | None = None,
        command: tuple[str, ...] = ("python3", "train.py"),
        serves: bool = True,
        training: dict[str, Any] | None = None,
        **fields: Any,
    ) -> str:
        """An algorithm, online; its code is a script of no effect unless given."""
        algo_id = new_id("algo")
        files = code or {"train.py": b"print('hello')\n"}
        stored = await manifests.store_bytes(platform.files, files, f"algorithms/{algo_id}/training")
        part = {"code": stored, "command": command, "parameters": PARAMETERS, **(training or {})}
        inference = InferencePart(
            code=stored, command=("python3", "serve.py"), interface=Interface(name="predict", path="/predict")
        )
        facts = {
            "id": algo_id,
            "name": "classifier",
            "owner": "alice",
            "visibility": Visibility.PRIVATE,
            "purpose": "image/classification",
            "formats": ("dir",),
            "online": True,
            "revision": 3,
            "training": TrainingPart(**part),
            "inference": inference if serves else None,
            **fields,
        }
        self.algorithms.snapshots[algo_id] = AlgorithmSnapshot(**facts)
        if tell:
            await self.algorithms.tell(AlgorithmOnline(**facts))
        return algo_id

    async def dataset_offline(self, ds_id: str) -> None:
        """Take it offline and tell."""
        known = self.datasets.snapshots[ds_id]
        self.datasets.snapshots[ds_id] = known.model_copy(update={"online": False})
        await self.datasets.tell(DatasetOffline(id=ds_id))

    async def algorithm_offline(self, algo_id: str) -> None:
        """Take it offline and tell."""
        known = self.algorithms.snapshots[algo_id]
        self.algorithms.snapshots[algo_id] = known.model_copy(update={"online": False})
        await self.algorithms.tell(AlgorithmOffline(id=algo_id))
