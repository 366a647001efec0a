"""Aggregated views and the one document: parts that are down are shown as such, the rest is there."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.types import Receive, Scope, Send

from common.web.identity import KeyRing
from gateway.service import build
from gateway.settings import Settings
from gateway.upstreams import Upstream
from tests.gateway.gate import gate

pytestmark = pytest.mark.row("P1")


class Stub:
    """A service that knows some answers by path; anything else is absent."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.tokens: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"] + (f"?{scope['query_string'].decode()}" if scope["query_string"] else ""))
        self.tokens.update(v.decode() for n, v in scope["headers"] if n == b"authorization")
        found = self.answers.get(scope["path"])
        if callable(found):
            found = found(scope)
        status = 200 if found is not None else 404
        body = (
            found if found is not None else {"code": "absent", "detail": f"nothing at {scope['path']}", "status": 404}
        )
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": orjson.dumps(body)})


async def down(scope: Scope, receive: Receive, send: Send) -> None:
    raise ConnectionError("nobody there")


async def hangs(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


def pages(scope: Scope) -> dict[str, Any]:
    if b"cursor=second" in scope["query_string"]:
        return {"items": [{"state": "succeeded"}], "next_cursor": None}
    return {"items": [{"state": "running"}, {"state": "succeeded"}], "next_cursor": "second"}


NODES = {
    "items": [
        {"name": "a", "cpu": 8, "memory": 100, "cpu_free": 6, "memory_free": 50,
         "devices": [{"id": "0", "kind": "gpu", "simulated": True, "allocation": "alloc-1"},
                     {"id": "1", "kind": "gpu", "simulated": True, "allocation": None}]},
        {"name": "b", "cpu": 4, "memory": 10, "cpu_free": 4, "memory_free": 10, "devices": []},
    ]
}  # fmt: skip


async def test_the_overview_counts_by_state(tmp_path: Path) -> None:
    empty: dict[str, Any] = {"items": [], "next_cursor": None}
    train = Stub({"/api/v1/jobs": pages, "/api/v1/models": empty, "/api/v1/nodes": NODES})
    behind: dict[str, Upstream] = {
        "train-svc": train,
        "dataset-svc": Stub({"/api/v1/datasets": {"items": [{"state": "online"}], "next_cursor": None}}),
        "algo-svc": hangs,
        "serving-svc": down,
    }
    async with gate(tmp_path, behind, part_seconds=4.0) as g:
        alice, token = await g.user("alice")
        answer = await g.client(token).get("/overview")
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["jobs"] == {
            "available": True, "reason": None, "total": 3, "complete": True,
            "by_state": {"running": 1, "succeeded": 2},
        }  # fmt: skip
        assert told["datasets"]["by_state"] == {"online": 1}
        assert told["models"]["total"] == 0
        assert told["algorithms"]["available"] is False
        assert "4 s" in told["algorithms"]["reason"]
        assert told["services"]["available"] is False
        nodes = told["nodes"]
        assert (nodes["nodes"], nodes["cpu"], nodes["cpu_used"]) == (2, 12, 2)
        assert (nodes["memory"], nodes["memory_used"]) == (110, 50)
        assert nodes["devices"] == {"gpu": {"total": 2, "used": 1, "simulated": 2}}
        (token,) = train.tokens
        who = KeyRing(tmp_path / "keys" / "public").verify(token.removeprefix("Bearer "))
        assert who.id == alice, "with the caller's own rights"


async def test_an_answer_that_is_not_as_agreed_is_an_unavailable_part(tmp_path: Path) -> None:
    train = Stub({"/api/v1/jobs": {"what": 1}, "/api/v1/models": [], "/api/v1/nodes": {"items": [{"name": "a"}]}})
    async with gate(tmp_path, {"train-svc": train}) as g:
        told = (await g.client(await g.log_in()).get("/overview")).json()
        assert [told[part]["available"] for part in ("jobs", "models", "nodes")] == [False, False, False]


async def test_counting_stops_somewhere_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.usecases.overview.MOST_PAGES", 2)
    endless = Stub({"/api/v1/jobs": {"items": [{"state": "x"}], "next_cursor": "more"}})
    async with gate(tmp_path, {"train-svc": endless}) as g:
        jobs = (await g.client(await g.log_in()).get("/overview")).json()["jobs"]
        assert (jobs["total"], jobs["complete"]) == (2, False)


JOB = {
    "id": "job-1",
    "state": "succeeded",
    "dataset": {"id": "ds-1", "name": "d"},
    "algorithm": {"id": "algo-1", "name": "a"},
    "model_id": "model-1",
}


async def test_a_job_is_shown_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    behind: dict[str, Upstream] = {
        "train-svc": Stub({
            "/api/v1/jobs/job-1": JOB,
            "/api/v1/models/model-1": {"id": "model-1", "services": ["svc-1", "svc-gone"]},
        }),
        "dataset-svc": down,
        "algo-svc": Stub({}),
        "serving-svc": Stub({"/api/v1/services/svc-1": {"id": "svc-1", "state": "running"}}),
    }  # fmt: skip
    async with gate(tmp_path, behind) as g:
        client = g.client(await g.log_in())
        told = (await client.get("/overview/jobs/job-1")).json()
        assert told["job"] == JOB
        assert (told["dataset"]["available"], told["dataset"]["item"]) == (False, None)
        assert (told["algorithm"]["available"], told["algorithm"]["item"]) == (True, None)
        assert told["model"]["item"]["id"] == "model-1"
        assert told["services"]["items"] == [{"id": "svc-1", "state": "running"}]
        absent = await client.get("/overview/jobs/job-2")
        assert (absent.status_code, absent.json()["code"]) == (404, "absent")


async def test_a_draft_has_no_model_yet(tmp_path: Path) -> None:
    draft = {"id": "job-1", "state": "draft", "model_id": None, "algorithm_id": "algo-1"}
    behind: dict[str, Upstream] = {
        "train-svc": Stub({"/api/v1/jobs/job-1": draft}),
        "algo-svc": Stub({"/api/v1/algorithms/algo-1": {"id": 1}}),
    }
    async with gate(tmp_path, behind) as g:
        told = (await g.client(await g.log_in()).get("/overview/jobs/job-1")).json()
        assert (told["model"]["item"], told["services"]["items"]) == (None, [])
        assert told["algorithm"]["item"] == {"id": 1}


async def test_a_job_id_does_not_reach_elsewhere(tmp_path: Path) -> None:
    train = Stub({})
    async with gate(tmp_path, {"train-svc": train}) as g:
        await g.client(await g.log_in()).get("/overview/jobs/job-1%3Fx=1")
        assert train.asked == ["/api/v1/jobs/job-1?x=1"], "all of it is the path"


async def test_one_document_of_all_that_answer(tmp_path: Path) -> None:
    path = {"get": {"operationId": "x", "x-permission": "see", "responses": {}}}
    behind: dict[str, Upstream] = {
        "train-svc": Stub({"/openapi.json": {"paths": {"/api/v1/jobs": path}, "components": {}}}),
        "serving-svc": down,
        "algo-svc": Stub({"/openapi.json": ["nonsense"]}),
    }
    async with gate(tmp_path, behind) as g:
        document = (await g.client().get("/openapi.json")).json()
        assert document["paths"]["/api/v1/jobs"]["get"]["x-permission"] == "see"
        assert document["paths"]["/api/v1/users"]["post"]["x-permission"] == "admin"
        assert document["x-unavailable"] == ["algo-svc", "serving-svc"]
        assert document["paths"]["/api/v1/login"]["post"]["security"] == []
        assert "security" not in document["paths"]["/api/v1/jobs"]["get"]


async def test_every_own_route_declares_its_permission(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        document = (await g.client().get("/openapi.json")).json()
        operations = [
            (f"{method} {path}", operation.get("x-permission"))
            for path, item in document["paths"].items()
            for method, operation in item.items()
        ]
        assert len(operations) > 15
        assert [name for name, permission in operations if permission is None] == []
        _, token = await g.user("alice")
        for name, permission in operations:
            method, path = name.split(" ", 1)
            path = path.replace("{", "").replace("}", "")
            url = f"http://gate{path}"
            if path.endswith("/events"):
                continue
            nobody = await g.client().request(method, url, json={})
            someone = await g.client(token).request(method, url, json={})
            if permission == "anyone":
                assert nobody.status_code != 401, name
            else:
                assert nobody.status_code == 401, name
            if permission == "admin":
                assert someone.json()["code"] == "admin_only", name


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_LOGIN_HOURS", "1.5")
    monkeypatch.setenv("GATEWAY_ADMIN_PASSWORD", "a very secret one")
    settings = Settings()
    assert settings.login_hours == 1.5
    assert "very secret" not in repr(settings)
    assert callable(build)
