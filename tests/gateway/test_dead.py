"""Dead letters of all services at one address: pages over services, silent ones named, replayed where they belong."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from starlette.types import Receive, Scope, Send

from common.contracts.dataset import DatasetOffline
from common.db import inbox
from embedded.house import House, running
from embedded.settings import Settings
from gateway.upstreams import Remote, Upstream
from tests.gateway.gate import gate


def letter(service: str, number: int) -> dict[str, Any]:
    said = {"error": "ValueError()", "advice": "Mend it, then replay."}
    return {"id": f"{service}.on_x.ev-{number}", "service": service, "handler": "on_x", "kept": "inbox", **said}


class Stub:
    """A service with some dead letters, in pages; its cursor is a number."""

    def __init__(self, name: str, count: int) -> None:
        self.letters = [letter(name, n) for n in range(count)]
        self.asked: list[Any] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        if scope["method"] == "POST":
            self.asked.append(orjson.loads(body))
            ids = orjson.loads(body).get("ids", [one["id"] for one in self.letters])
            gone = [{"id": one, "code": "dead_letter_not_found", "detail": "None."} for one in ids if "absent" in one]
            return await answer(send, {"replayed": [one for one in ids if "absent" not in one], "failed": gone})
        query = dict(pair.split("=") for pair in scope["query_string"].decode().split("&"))
        start = int(query.get("cursor", 0))
        end = start + int(query["limit"])
        more = str(end) if end < len(self.letters) else None
        return await answer(send, {"items": self.letters[start:end], "next_cursor": more})


async def answer(send: Send, body: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": orjson.dumps(body)})


async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


async def older(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, {"letters": []})


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 50])
async def test_pages_go_through_all_services(tmp_path: Path, limit: int) -> None:
    behind: dict[str, Upstream] = {
        "a-svc": Stub("a-svc", 3),
        "b-svc": Stub("b-svc", 0),
        "c-svc": Stub("c-svc", 2),
        "z-svc": Stub("z-svc", 2),
    }
    async with gate(tmp_path, behind) as g:
        client, seen, cursor = g.client(await g.log_in()), [], None
        for _ in range(20):
            params = {"limit": limit, **({"cursor": cursor} if cursor else {})}
            page = (await client.get("/events/dead", params=params)).json()
            assert len(page["items"]) <= limit
            seen += [one["id"] for one in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                break
        expected = {"a-svc": 3, "c-svc": 2, "z-svc": 2}
        assert seen == [f"{name}.on_x.ev-{n}" for name, count in expected.items() for n in range(count)]
        only = (await client.get("/events/dead", params={"service": "c-svc"})).json()["items"]
        assert {one["service"] for one in only} == {"c-svc"}


async def test_a_silent_service_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    behind: dict[str, Upstream] = {"a-svc": hangs, "b-svc": Stub("b-svc", 1), "c-svc": older}
    async with gate(tmp_path, behind, part_seconds=4.0) as g:
        page = (await g.client(await g.log_in()).get("/events/dead")).json()
        assert [one["id"] for one in page["items"]] == ["b-svc.on_x.ev-0"]
        silent = {one["service"]: one["reason"] for one in page["unavailable"]}
        assert set(silent) == {"a-svc", "c-svc"}
        assert "4 s" in silent["a-svc"]
        assert "another version" in silent["c-svc"]


async def test_letters_are_replayed_at_their_service(tmp_path: Path) -> None:
    a, b = Stub("a-svc", 2), Stub("b-svc", 1)
    async with gate(tmp_path, {"a-svc": a, "b-svc": b, "c-svc": older}) as g:
        client = g.client(await g.log_in())
        ids = ["a-svc.on_x.ev-1", "b-svc.on_x.ev-0", "a-svc.on_x.absent", "c-svc.on_x.ev-1", "nowhere.on_x.ev-1"]
        told = (await client.post("/events/dead/replay", json={"ids": ids})).json()
        assert told["replayed"] == ids[:2]
        codes = {one["id"]: one["code"] for one in told["failed"]}
        assert codes == {
            ids[2]: "dead_letter_not_found",
            ids[3]: "bad_answer",
            ids[4]: "dead_letter_not_found",
        }
        assert a.asked == [{"ids": ["a-svc.on_x.ev-1", "a-svc.on_x.absent"]}]
        told = (await client.post("/events/dead/replay", json={"all": True, "service": "a-svc"})).json()
        assert told == {"replayed": ["a-svc.on_x.ev-0", "a-svc.on_x.ev-1"], "failed": []}
        assert b.asked == [{"ids": ["b-svc.on_x.ev-0"]}]


async def test_a_service_of_its_own_process_is_asked_over_the_network(tmp_path: Path) -> None:
    asked = []

    async def replay(request: web.Request) -> web.Response:
        asked.append((request.headers["Authorization"][:7], await request.json()))
        return web.json_response({"replayed": ["a-svc.on_x.ev-0"], "failed": []})

    async def page(_: web.Request) -> web.Response:
        return web.json_response({"items": [letter("a-svc", 0)], "next_cursor": None, "unavailable": "no broker"})

    app = web.Application()
    app.router.add_post("/api/v1/dead-letters/replay", replay)
    app.router.add_get("/api/v1/dead-letters", page)
    async with TestServer(app, host="127.0.0.1") as server:
        remote = Remote(f"http://127.0.0.1:{server.port}")
        async with gate(tmp_path, {"a-svc": remote}) as g:
            client = g.client(await g.log_in())
            told = (await client.get("/events/dead")).json()
            assert [one["id"] for one in told["items"]] == ["a-svc.on_x.ev-0"]
            assert told["unavailable"] == [{"service": "a-svc", "reason": "no broker"}]
            told = (await client.post("/events/dead/replay", json={"ids": ["a-svc.on_x.ev-0"]})).json()
            assert told == {"replayed": ["a-svc.on_x.ev-0"], "failed": []}
            assert asked == [("Bearer ", {"ids": ["a-svc.on_x.ev-0"]})]


async def test_what_cannot_be_asked_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with gate(tmp_path, {"a-svc": Stub("a-svc", 0)}) as g:
        client = g.client(await g.log_in())
        refused = await client.get("/events/dead", params={"service": "x-svc"})
        assert (refused.status_code, refused.json()["code"]) == (404, "no_such_service")
        assert "a-svc, gateway" in refused.json()["detail"]
        assert (await client.get("/events/dead", params={"cursor": "%%"})).json()["code"] == "bad_cursor"
        assert (await client.post("/events/dead/replay", json={})).status_code == 422
        _, token = await g.user("alice")
        assert (await g.client(token).get("/events/dead")).json()["code"] == "admin_only"
        assert (await g.client(token).post("/events/dead/replay", json={"all": True})).json()["code"] == "admin_only"


async def admin(house: House, home: Path) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=house.gateway.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://house/api/v1") as client:
        password = (home / "admin-password").read_text().strip()
        token = (await client.post("/login", json={"name": "admin", "password": password})).json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


async def letters_of(client: httpx2.AsyncClient, count: int) -> list[dict[str, Any]]:
    """The dead letters, once there are as many."""
    async with asyncio.timeout(60):
        while len(found := (await client.get("/events/dead")).json()["items"]) != count:
            await asyncio.sleep(0.02)
    return list(found)


async def test_the_whole_way_with_all_services_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler of train-svc fails for good; mended and replayed, the event has its effect."""
    done = asyncio.Event()

    async def fails(*_: Any) -> bool:
        raise ValueError("the catalogue is broken")

    async def works(*_: Any) -> bool:
        done.set()
        return True

    monkeypatch.setattr(inbox, "MAX_ATTEMPTS", 1)
    monkeypatch.setattr("train_svc.reactions.forget", fails)
    async with running(Settings(home=tmp_path)) as house:
        async for client in admin(house, tmp_path):
            assert (await client.get("/events/dead")).json() == {"items": [], "next_cursor": None, "unavailable": []}
            teller = next(one for one in house.services if one.name == "dataset-svc")
            async with teller.kit.store.work() as uow:
                for n in range(2):
                    uow.emit(DatasetOffline(id=f"ds-{n}"), subject=f"ds-{n}")
            first, _ = await letters_of(client, 2)
            assert first["id"] == f"train-svc.on_dataset_gone.{first['event_id']}"
            assert (first["type"], first["kept"]) == ("dataset.offline", "inbox")
            assert "catalogue is broken" in first["error"]
            monkeypatch.setattr("train_svc.reactions.forget", works)
            told = (await client.post("/events/dead/replay", json={"ids": [first["id"]]})).json()
            assert told == {"replayed": [first["id"]], "failed": []}
            await asyncio.wait_for(done.wait(), 60)
            (left,) = await letters_of(client, 1)
            assert (await client.post("/events/dead/replay", json={"all": True})).json()["replayed"] == [left["id"]]
            assert await letters_of(client, 0) == []
