"""Health and figures, without any process: what is told when, and what is left out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from common.hosting import door as doors
from common.hosting.door import Door, Health
from common.hosting.watch import EVERY_SECONDS, LOOK_SECONDS, Watch
from common.kernel.errors import Unavailable
from common.telemetry.figures import Figure
from embedded.house import health_of, running
from embedded.settings import Settings


class Dependency:
    """One that is well, or fails for a reason, or is silent."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.answers = asyncio.Event()
        self.answers.set()
        self.looks = 0

    async def look(self) -> None:
        self.looks += 1
        await self.answers.wait()
        if self.reason is not None:
            raise Unavailable("gone", self.reason)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.hosting.watch.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("common.hosting.watch.EVERY_SECONDS", 0.01)


def client_of(door: Door) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=door), base_url="http://door")


def service(*figures: Any) -> Any:
    return SimpleNamespace(name="some-svc", figures=list(figures))


async def test_it_says_what_is_missing_and_why():
    database, bus = Dependency(), Dependency()
    health = Health("some-svc", [], [Watch("database", database.look), Watch("bus", bus.look)])
    async with client_of(Door(health)) as client:
        told = (await client.get("/readyz")).json()
        assert (told["status"], told["code"], set(told["missing"])) == (503, "not_ready", {"start"})
        headers = (await client.get("/readyz")).headers
        assert (headers["retry-after"], headers["cache-control"]) == ("1", "no-store")
        health.waits_for = None
        assert (await client.get("/readyz")).json() == {"status": "ok", "database": "ok", "bus": "ok"}
        bus.reason = "nobody listens there"
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["missing"] == {"bus": "nobody listens there"}
        bus.reason = None
        health.stopping = True
        assert set((await client.get("/readyz")).json()["missing"]) == {"stop"}
        assert (await client.get("/healthz")).status_code == 200


async def test_before_it_works_everything_else_is_refused():
    health = Health("some-svc", [])
    door = Door(health)
    async with client_of(door) as client:
        answer = await client.get("/api/v1/things")
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "starting", "1")
        app = FastAPI()
        app.get("/api/v1/things")(lambda: {"items": []})
        door.behind = app
        assert (await client.get("/api/v1/things")).json() == {"items": []}
        assert (await client.get("/metrics")).status_code == 404


@pytest.mark.usefixtures("hurry")
async def test_who_is_silent_is_told_to_those_who_wait_and_only_when_it_lasts():
    told: list[str | None] = []
    one = Dependency()
    watch = Watch("database", one.look, told.append)
    assert await watch.now() is None
    one.answers.clear()
    assert "does not answer" in str(await watch.now())
    assert told == [None, None]
    await watch.now()
    assert "does not answer" in str(told[-1])
    one.answers.set()
    assert await watch.now() is None
    assert told[-1] is None


async def test_two_who_ask_share_one_look():
    one = Dependency()
    watch = Watch("database", one.look)
    one.answers.clear()
    asked = [asyncio.create_task(watch.now()) for _ in range(3)]
    await asyncio.sleep(0)
    one.answers.set()
    assert await asyncio.gather(*asked) == [None, None, None]
    assert one.looks == 1
    assert LOOK_SECONDS + EVERY_SECONDS <= 3.0


async def test_figures_that_can_not_be_told_now_are_left_out_and_counted():
    async def good() -> list[Figure]:
        return [Figure("modelyard_things", "Things there are", [({"kind": "a"}, 2.0), ({"kind": "b"}, 3.0)])]

    async def bad() -> list[Figure]:
        raise Unavailable("database_unavailable", "not now")

    health = Health("some-svc", [service(good, bad)], [Watch("database", Dependency().look)])
    async with client_of(Door(health, operator=True)) as client:
        text = (await client.get("/metrics")).text
        assert (await client.get("/api/v1/things")).status_code == 404
    assert 'modelyard_things{kind="b"} 3.0' in text
    assert 'modelyard_figures_untold{service="some-svc"} 1.0' in text
    assert 'modelyard_dependency_up{dependency="database"} 1.0' in text


@pytest.mark.row("P6")
async def test_embedded_it_tells_of_all_services_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doors, "FIGURES_SECONDS", 60.0)
    settings = Settings(home=tmp_path, simulated_gpus=2)
    async with running(settings) as house:
        health = health_of(house)
        door = Door(health, operator=True)
        async with client_of(door) as client, asyncio.timeout(60):
            while (ready := await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.05)
            assert {"database gateway", "database train-svc", "bus", "files"} <= ready.json().keys()
            while "modelyard_devices{" not in (text := (await client.get("/metrics")).text):
                await asyncio.sleep(0.05)  # the nodes are looked at by a loop of its own
    for name in ("gateway", "dataset-svc", "algo-svc", "train-svc", "notebook-svc", "serving-svc"):
        assert f'modelyard_dead_letters{{service="{name}"}} 0.0' in text
    [line] = [one for one in text.splitlines() if one.startswith("modelyard_devices{")]
    assert line.endswith(" 2.0")
    assert 'simulated="true"' in line
    assert 'modelyard_queue_waiting{kind="job",queue="default"} 0.0' in text
    assert "modelyard_figures_untold{" in text
