"""Every route × role × visibility: what a route declares is what it does, and none declares nothing."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from common.service import Service
from common.web.access import Permission, declared_permissions
from common.web.identity import Principal, Signer
from embedded.house import running
from embedded.settings import Settings
from tests.architecture.routes import TUS
from tests.architecture.things import OWNER, add, add_users

ROLES = ("anonymous", "stranger", "owner", "admin", "service")
UNKNOWN = "0" * 26

BODIES: dict[str, Any] = {
    "POST /datasets": {
        "name": "x",
        "purpose": "image/classification",
        "annotation": "class",
        "format": "dir",
        "test_mode": "ratio",
    },
    "POST /datasets/{dataset_id}/uploads": {"part": "train", "filename": "x.zip", "size": 10},
    "POST /datasets/{dataset_id}/uploads/{upload_id}/complete": {},
    "POST /datasets/{dataset_id}/uploads/{upload_id}/links": {"numbers": [1]},
    "POST /sources": {"name": "x", "connection": {"type": "path", "root": "lab"}},
    "PUT /sources/{source_id}/credentials": {},
    "POST /sources/{source_id}/opening": {"workload": "att-1"},
    "POST /datasets/{dataset_id}/imports": {"source_id": "src-1"},
    "POST /formatted-sets": {"dataset_id": "ds-1", "format": "raw"},
    "POST /algorithms": {
        "name": "x",
        "purpose": "image/classification",
        "formats": ["dir"],
        "training": {"image": "a:1"},
    },
    "POST /engines": {"name": "new", "framework": "x", "version": "1", "requirements": []},
    "POST /jobs": {"name": "x", "algorithm_id": "algo-1", "dataset_id": "ds-1"},
    "POST /jobs/{job_id}/metrics": [{"step": 1, "loss": 1.0}],
    "POST /models/{model_id}/publish": {"service_name": "x"},
    "PUT /queues/{name}": {"group": "x"},
    "POST /environments": {"name": "x", "framework": "x", "framework_version": "1"},
    "POST /services/{service}/start": {"replicas": 1},
    "POST /services/{service}/scale": {"replicas": 1},
    "POST /services/{service}/test": {},
    "POST /login": {"name": "x", "password": "not the one"},
    "POST /users": {"name": "newcomer", "password": "long enough to pass", "role": "user"},
    "PUT /users/me/password": {"old": "not the one", "new": "long enough to pass"},
    "PUT /users/{user_id}/role": {"role": "user"},
    "PUT /users/{user_id}/groups": {"groups": ["vision"]},
    "PUT /users/{user_id}/password": {"password": "long enough to pass"},
    "POST /api-keys": {"name": "x"},
}
"""What must be sent for a route to get as far as deciding; `{"description": …}` and a visibility where not said."""


JSON = [(b"content-type", b"application/json")]

HELD = {"datasets": "dataset_id", "formatted-sets": "set_id", "algorithms": "algorithm", "models": "model_id"}
"""Collection → the name that other routes have for what is held."""


class Walk:
    """All routes of all services, and a way to call each as anybody."""

    def __init__(self, services: Mapping[str, Service], signer: Signer, itself: Signer) -> None:
        self.services = services
        self._tokens = {
            "stranger": signer.sign(Principal("bob", "user", "bob")),
            "owner": signer.sign(Principal(OWNER, "user", OWNER)),
            "admin": signer.sign(Principal("root", "admin", "root")),
            "service": itself.for_itself(),
        }
        logins = services["gateway"].app.state.context.tokens
        self._logins = {
            role: logins.make(user, 1)[0] for role, user in (("stranger", "bob"), ("owner", OWNER), ("admin", "root"))
        }

    def routes(self) -> list[tuple[str, str, str, str | None]]:
        """Service, method, path, permission."""
        return [
            (service, method, path, permission)
            for service in self.services
            for (method, path), permission in declared_permissions(self.services[service].app).items()
        ]

    async def call(self, service: str, method: str, path: str, role: str, ids: Mapping[str, str]) -> tuple[int, str]:
        """The status, and the problem's code where there is one; a stream is left as soon as it begins."""
        target = re.sub(r"\{(\w+)\}", lambda name: self._id(path, name[1], ids), path)
        headers = [*(TUS if "/tus" in path else JSON), (b"host", b"house")]
        if role != "anonymous":
            tokens = self._logins if service == "gateway" else self._tokens
            headers.append((b"authorization", f"Bearer {tokens[role]}".encode()))
        query = b"path=x" if path.endswith(("/file", "/thumbnail")) else b""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": target,
            "raw_path": target.encode(),
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        return await first_answer(self.services[service].app, scope, json.dumps(body_of(method, path)).encode())

    def _id(self, path: str, name: str, ids: Mapping[str, str]) -> str:
        if name == "item":  # the routes of holds say only which collection
            return ids[HELD[path.split("/")[3]]]
        known = {"holder": "att-1", "number": "1", "before": "1", "after": "1", "part": "training", "user_id": OWNER}
        return ids.get(name) or known.get(name) or f"x-{UNKNOWN}"


def body_of(method: str, path: str) -> Any:
    if method in ("GET", "DELETE"):
        return None
    short = path.removeprefix("/api/v1")
    if short.endswith("/visibility"):
        return {"visibility": "private"}
    return BODIES.get(f"{method} {short}", {"description": "changed"} if method == "PATCH" else {})


async def first_answer(app: Any, scope: dict[str, Any], body: bytes) -> tuple[int, str]:
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    over = asyncio.Event()
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        if (message := next(given, None)) is not None:
            return message
        await over.wait()
        return {"type": "http.disconnect"}

    task = asyncio.create_task(app(scope, receive, sent.put))
    try:
        async with asyncio.timeout(60):
            status = (await sent.get())["status"]
            if status < 400:
                return status, ""
            answer = json.loads((await sent.get()).get("body") or b"{}")
            return status, answer.get("code", "")
    finally:
        over.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def walk(tmp_path: Path) -> AsyncIterator[Walk]:
    async with running(Settings(home=tmp_path)) as house:
        services = {service.name: service for service in house.services}
        await add_users(services)
        yield Walk(services, house.platform.signer_of("gateway"), house.platform.signer_of("train-svc"))


async def test_every_route_declares_a_permission(walk: Walk) -> None:
    routes = walk.routes()
    assert len(routes) > 80
    assert [route for route in routes if route[3] not in set(Permission)] == []


def is_hidden(answer: tuple[int, str]) -> bool:
    return answer[0] == 404 and answer[1].endswith("_not_found")


def fault(permission: str, role: str, shared: bool, answer: tuple[int, str]) -> str | None:
    """What is wrong with an answer; None where it is what the permission says."""
    status, code = answer
    if status >= 500 and status != 503:
        return "a failure"
    if permission == Permission.ANYONE:
        return "needs a login" if status == 401 and code != "bad_login" else None
    if role == "anonymous":
        return None if status == 401 else "no login is asked for"
    if status == 401:
        return "a login is refused"
    allowed = {
        Permission.USER: True,
        Permission.ADMIN: role in ("admin", "service"),
        Permission.SERVICE: role == "service",
        Permission.SEE: role != "stranger" or shared,
        Permission.CHANGE: role != "stranger",
    }[Permission(permission)]
    if allowed:
        return "it is refused" if code in ("not_owner", "admin_only", "service_only") else None
    if permission in (Permission.ADMIN, Permission.SERVICE):
        return None if code == f"{permission}_only" else "it is let in"
    if permission == Permission.CHANGE and shared:
        return None if (status, code) == (403, "not_owner") or is_hidden(answer) else "it is let in"
    return None if is_hidden(answer) else "it can be told from one that does not exist"


@pytest.mark.parametrize("shared", [False, True], ids=["private", "shared"])
@pytest.mark.parametrize("role", ROLES)
async def test_every_route_decides_as_it_declares(walk: Walk, role: str, shared: bool) -> None:
    wrong, ids = [], await add(walk.services, shared)
    for service, method, path, permission in walk.routes():
        if service == "gateway" and role == "service":
            continue  # services have no login
        answer = await walk.call(service, method, path, role, ids)
        if method != "GET" and answer[0] < 400:  # whatever it did to the thing, the next call finds a fresh one
            ids = await add(walk.services, shared)
        if permission is not None and (why := fault(permission, role, shared, answer)):
            wrong.append(f"{method} {path} ({permission}) as {role}: {why}: {answer}")
    assert wrong == []


async def test_a_stranger_learns_nothing_from_the_words(walk: Walk) -> None:
    """A private thing and one that never was are answered alike, but for the id that was asked for."""
    ids = await add(walk.services, shared=False)
    absent = {name: f"{item.split('-')[0]}-{UNKNOWN}" for name, item in ids.items()}
    for service, method, path, permission in walk.routes():
        if permission in (Permission.SEE, Permission.CHANGE) and "{" in path:
            there = await walk.call(service, method, path, "stranger", ids)
            nowhere = await walk.call(service, method, path, "stranger", absent)
            assert there == nowhere, (method, path)
