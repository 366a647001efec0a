"""Everything that the routes are about, made for real: one set of things for each who is to touch them."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gateway.service
from common.images.engines import LocalEngines
from common.service import Platform, Service
from embedded.commands.control import end_workloads
from embedded.house import BEHIND
from gateway.settings import Settings as GatewaySettings
from tests.support.algorithms import DEFINITION, SERVE, TRAIN
from tests.support.data import images_zip
from tests.support.platform import House, running
from tests.support.process import ENGINE, engine_cache

PASSWORD = "a-password-for-tests"
SECONDS = 180.0


@dataclass(frozen=True)
class World:
    """One set of things of one owner. `ids` is what stands for each path parameter, by `collection.parameter`."""

    owner: str
    visibility: str
    ids: Mapping[str, str]
    sample: str


@dataclass(frozen=True)
class Ground:
    """The running house with two people, who are users of the gateway too, and an administrator."""

    house: House
    people: Mapping[str, str]
    """Name → user id."""
    tokens: Mapping[str, str]
    """Name → login token of the gateway."""


@asynccontextmanager
async def ground(home: Path) -> AsyncIterator[Ground]:
    """All services in this process, without anything in them."""
    apps: dict[str, Any] = {}

    def keeping(build: Callable[[Platform], Service]) -> Callable[[Platform], Service]:
        def make(platform: Platform) -> Service:
            service = build(platform)
            apps[service.name] = service.app
            return service

        return make

    def front(platform: Platform) -> Service:
        settings = GatewaySettings.model_validate(
            {"admin_password": PASSWORD, "password_memory": 64, "password_rounds": 1}
        )
        return gateway.service.build(platform, settings, apps)

    try:
        async with running(home, [*map(keeping, BEHIND), front], engines=LocalEngines(engine_cache())) as house:
            yield await _with_people(house)
    finally:
        await end_workloads(home)


async def _with_people(house: House) -> Ground:
    admin = house.client("gateway", as_=None)
    tokens = {"admin": await _log_in(admin, "admin")}
    admin.headers["Authorization"] = f"Bearer {tokens['admin']}"
    me = await admin.get("/users/me")
    people = {"admin": str(me.json()["id"])}
    for name in ("owner", "stranger"):
        made = await admin.post("/users", json={"name": name, "password": PASSWORD})
        people[name] = made.json()["id"]
        tokens[name] = await _log_in(house.client("gateway", as_=None), name)
    return Ground(house, people, tokens)


async def _log_in(client: Any, name: str) -> str:
    answer = await client.post("/login", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


async def world(ground: Ground, visibility: str, folder: Path) -> World:
    """Make one of everything, owned by `owner`, and shared as far as such a thing can be."""
    owner = ground.people["owner"]
    maker = _Maker(ground.house, owner, visibility, folder)
    dataset, algorithm, environment = await asyncio.gather(maker.dataset(), maker.algorithm(), maker.environment())
    job, model = await maker.job(dataset["dataset"], algorithm["algorithm"])
    service = await maker.service(model)
    key = await ground.house.client("gateway", as_=None).post(
        "/api-keys", json={"name": "a key"}, headers={"Authorization": f"Bearer {ground.tokens['owner']}"}
    )
    attempt = (await maker.get("train-svc", f"/jobs/{job}/attempts"))["items"][0]["id"]
    ids = {
        "datasets.dataset_id": dataset["dataset"],
        "datasets.item": dataset["dataset"],
        "datasets.upload_id": dataset["upload"],
        "datasets.import_id": dataset["import"],
        "datasets.number": "1",
        "datasets.before": "1",
        "datasets.after": "1",
        "datasets.holder": "att-of-nobody",
        "uses.dataset_id": dataset["dataset"],
        "sources.source_id": await maker.source(),
        "formatted-sets.set_id": dataset["set"],
        "formatted-sets.item": dataset["set"],
        "formatted-sets.holder": "att-of-nobody",
        "algorithms.algorithm": algorithm["algorithm"],
        "algorithms.item": algorithm["algorithm"],
        "algorithms.part": "training",
        "algorithms.holder": "att-of-nobody",
        "engines.name": ENGINE,
        "jobs.job_id": job,
        "models.model_id": model,
        "models.item": model,
        "models.holder": "rep-of-nobody",
        "allocations.allocation_id": f"alloc-{attempt}",
        "nodes.name": (await maker.get("train-svc", "/nodes"))["items"][0]["name"],
        "queues.name": "default",
        "resource-specs.name": "small",
        "environments.environment": environment,
        "services.service": service["service"],
        "services.replica": service["replica"],
        "users.user_id": owner,
        "api-keys.key_id": key.json()["id"],
        "overview.job_id": job,
    }
    return World(owner, visibility, ids, dataset["sample"])


@dataclass
class _Maker:
    house: House
    owner: str
    visibility: str
    folder: Path

    async def call(self, method: str, service: str, path: str, **sent: Any) -> Any:
        answer = await self.house.client(service, as_=self.owner).request(method, path, **sent)
        assert answer.is_success, (method, path, answer.text)
        return answer.json() if answer.content else None

    async def get(self, service: str, path: str) -> Any:
        return await self.call("GET", service, path)

    async def post(self, service: str, path: str, body: Any = None) -> Any:
        return await self.call("POST", service, path, json=body)

    async def wait(self, service: str, path: str, done: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(SECONDS):
            while not done(seen := await self.get(service, path)):
                await asyncio.sleep(0.05)
        return seen

    async def dataset(self) -> dict[str, str]:
        svc = "dataset-svc"
        made = await self.post(svc, "/datasets", {"name": "pictures", "purpose": "image/classification"})
        at = f"/datasets/{made['id']}"
        content = images_zip(self.folder / f"{made['id']}.zip", 2).read_bytes()
        wanted = {"part": "train", "filename": "pictures.zip", "size": len(content)}
        upload = await self.post(svc, f"{at}/uploads", wanted)
        await self.call("PUT", svc, f"{at}/uploads/{upload['id']}/parts/1", content=content)
        begun = await self.post(svc, f"{at}/uploads/{upload['id']}/complete")
        ended = await self.wait(svc, f"{at}/imports/{begun['id']}", lambda seen: bool(seen["ended_at"]))
        assert ended["state"] == "succeeded", ended
        await self.post(svc, f"{at}/online")
        await self.call("PUT", svc, f"{at}/visibility", json={"visibility": self.visibility})
        unfinished = await self.post(svc, f"{at}/uploads", wanted)
        [sample] = (await self.get(svc, f"{at}/samples?limit=1"))["items"]
        ids = {"dataset": made["id"], "upload": unfinished["id"], "import": begun["id"], "sample": sample["path"]}
        return {name: str(value) for name, value in ids.items()} | {"set": await self.formatted(made["id"], sample)}

    async def source(self) -> str:
        body = {"name": "lab", "connection": {"type": "path", "root": "lab"}}
        return str((await self.post("dataset-svc", "/sources", body))["id"])

    async def formatted(self, dataset: str, sample: Any) -> str:
        """A raw set in which the sample is, by an even cut whose seed decides."""
        svc = "dataset-svc"
        for seed in range(64):
            body = {"dataset_id": dataset, "format": "raw", "ratio": 0.5, "seed": seed}
            made = await self.post(svc, "/formatted-sets", body)
            at = f"/formatted-sets/{made['id']}"
            await self.wait(svc, at, lambda seen: seen["state"] == "ready")
            files = (await self.get(svc, f"{at}/files"))["items"]
            if sample["path"] in [file["path"] for file in files]:
                return str(made["id"])
        raise AssertionError(f"{sample} is in no set")

    async def algorithm(self) -> dict[str, str]:
        made = await self.post("algo-svc", "/algorithms", DEFINITION)
        at = f"/algorithms/{made['id']}"
        for part, files in (("training", {"train.py": TRAIN}), ("inference", {"serve.py": SERVE})):
            await self.call("PUT", "algo-svc", f"{at}/code/{part}", content=zip_of(files))
        await self.post("algo-svc", f"{at}/online")
        await self.call("PUT", "algo-svc", f"{at}/visibility", json={"visibility": self.visibility})
        return {"algorithm": str(made["id"])}

    async def environment(self) -> str:
        body = {"name": "an environment", "framework": "python", "framework_version": "3.11"}
        made = await self.post("notebook-svc", "/environments", body)
        at = f"/environments/{made['id']}/visibility"
        await self.call("PUT", "notebook-svc", at, json={"visibility": self.visibility})
        return str(made["id"])

    async def job(self, dataset: str, algorithm: str) -> tuple[str, str]:
        body = {"name": "a job", "algorithm_id": algorithm, "dataset_id": dataset}
        made = await self.post("train-svc", "/jobs", body)
        ended = await self.wait("train-svc", f"/jobs/{made['id']}", lambda seen: bool(seen["ended_at"]))
        assert ended["state"] == "succeeded", ended
        return str(made["id"]), str(ended["model_id"])

    async def service(self, model: str) -> dict[str, str]:
        promised = await self.post("train-svc", f"/models/{model}/publish", {"service_name": "a service"})
        at = f"/services/{promised['service_id']}"
        client = self.house.client("serving-svc", as_=self.owner)
        async with asyncio.timeout(SECONDS):
            while (await client.get(at)).status_code != 200:
                await asyncio.sleep(0.02)
        await self.call("PATCH", "serving-svc", at, json={"visibility": self.visibility})
        await self.post("serving-svc", f"{at}/start", {"replicas": 1})
        await self.wait("serving-svc", at, lambda seen: seen["ready"] == 1)
        [replica] = (await self.get("serving-svc", f"{at}/replicas"))["items"]
        return {"service": promised["service_id"], "replica": replica["id"]}


def zip_of(files: Mapping[str, str]) -> bytes:
    """A small zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()
