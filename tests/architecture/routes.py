"""Every route of every service, what it asks for, and how it is called with sense."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message

from common.web.access import declared_permissions
from tests.architecture.world import PASSWORD, SECONDS, World, zip_of
from tests.support.algorithms import DEFINITION, TRAIN

SHAREABLE = frozenset({"datasets", "formatted-sets", "algorithms", "environments", "services"})
"""Collections whose things can be public; what the owner of a public dataset made of it is public with it.
Jobs, uploads, models (so far) are their owner's alone."""

DOCUMENT = "/openapi.json"
"""The framework's own route: what the routes are is no secret."""


@dataclass(frozen=True)
class Route:
    """One route of one service."""

    service: str
    method: str
    path: str
    permission: str | None

    @property
    def collection(self) -> str:
        """What it is about."""
        return self.path.removeprefix("/api/v1/").partition("/")[0]

    @property
    def about_one(self) -> bool:
        """Whether it names a thing."""
        return "{" in self.path

    def called(self, world: World) -> str:
        """Its path with that world's things in it, and the query that it needs."""
        return re.sub(r"\{(\w+)\}", lambda m: quote(world.ids[f"{self.collection}.{m[1]}"]), self.path)

    def query(self, world: World) -> str:
        """The query without which it can't be called."""
        wanted = {
            "/api/v1/datasets/{dataset_id}/samples/file": f"path={quote(world.sample)}",
            "/api/v1/datasets/{dataset_id}/samples/thumbnail": f"path={quote(world.sample)}",
            "/api/v1/jobs/{job_id}/results/file": "path=model.json",
            "/api/v1/models/{model_id}/files/file": "path=model.json",
            "/api/v1/formatted-sets/{set_id}/files/file": f"path={quote(world.sample)}",
        }
        return wanted.get(self.path, "")

    def body(self, world: World) -> Any:
        """A body that it takes: JSON, raw bytes, or none."""
        made = _BODIES.get((self.method, self.path.removeprefix("/api/v1")))
        return made(world) if callable(made) else made

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}"


def _job(world: World) -> dict[str, Any]:
    ids = world.ids
    return {
        "name": "another",
        "algorithm_id": ids["algorithms.algorithm"],
        "dataset_id": ids["datasets.dataset_id"],
        "start": False,
    }


def _set(world: World) -> dict[str, Any]:
    return {"dataset_id": world.ids["datasets.dataset_id"], "format": "raw"}


TUS = [
    (b"tus-resumable", b"1.0.0"),
    (b"upload-length", b"1"),
    (b"upload-offset", b"0"),
    (b"content-type", b"application/offset+octet-stream"),
]
"""What the protocol of resumable uploads asks of every request."""

_UPLOAD = {"part": "train", "filename": "x.zip", "size": 100}
_BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/datasets"): {"name": "x", "purpose": "image/classification"},
    ("PATCH", "/datasets/{dataset_id}"): {"description": "changed"},
    ("PATCH", "/datasets/{dataset_id}/versions/{number}"): {"description": "changed"},
    ("PUT", "/datasets/{dataset_id}/visibility"): lambda world: {"visibility": world.visibility},
    ("POST", "/datasets/{dataset_id}/uploads"): _UPLOAD,
    ("PUT", "/datasets/{dataset_id}/uploads/{upload_id}/parts/{number}"): b"x",
    ("POST", "/datasets/{dataset_id}/uploads/{upload_id}/links"): {"numbers": [1]},
    ("PATCH", "/datasets/{dataset_id}/tus/{upload_id}"): b"x",
    ("POST", "/sources"): {"name": "x", "connection": {"type": "path", "root": "lab"}},
    ("PUT", "/sources/{source_id}/credentials"): {},
    ("POST", "/datasets/{dataset_id}/imports"): lambda world: {"source_id": world.ids["sources.source_id"]},
    ("POST", "/formatted-sets"): _set,
    ("POST", "/algorithms"): DEFINITION,
    ("PATCH", "/algorithms/{algorithm}"): {"description": "changed"},
    ("PUT", "/algorithms/{algorithm}/visibility"): lambda world: {"visibility": world.visibility},
    ("PUT", "/algorithms/{algorithm}/code/{part}"): zip_of({"train.py": TRAIN}),
    ("POST", "/engines"): {
        "name": "never-built",
        "framework": "python",
        "version": "3",
        "requirements": ["idna==3.20"],
    },
    ("POST", "/jobs"): _job,
    ("PATCH", "/jobs/{job_id}"): {"description": "changed"},
    ("POST", "/jobs/{job_id}/metrics"): [{"step": 1000, "loss": 1.0}],
    ("PATCH", "/models/{model_id}"): {"description": "changed"},
    ("PUT", "/queues/{name}"): {"group": "default"},
    ("POST", "/models/{model_id}/publish"): {"service_name": "another"},
    ("POST", "/environments"): {"name": "x", "framework": "python", "framework_version": "3"},
    ("PATCH", "/environments/{environment}"): {"description": "changed"},
    ("PUT", "/environments/{environment}/visibility"): lambda world: {"visibility": world.visibility},
    ("PATCH", "/services/{service}"): {"description": "changed"},
    ("POST", "/services/{service}/start"): {"replicas": 1},
    ("POST", "/services/{service}/scale"): {"replicas": 1},
    ("POST", "/services/{service}/test"): {"inputs": {"text": "hello"}},
    ("POST", "/login"): {"name": "stranger", "password": PASSWORD},
    ("PUT", "/users/me/password"): {"current": PASSWORD, "new": "short"},
    ("POST", "/users"): {"name": "somebody", "password": PASSWORD},
    ("PUT", "/users/{user_id}/role"): {"role": "user"},
    ("PUT", "/users/{user_id}/groups"): {"groups": ["vision"]},
    ("PUT", "/users/{user_id}/password"): {"password": PASSWORD},
    ("POST", "/api-keys"): {"name": "another"},
}
"""What a route must be sent so that not its body, but who asks, decides."""


def routes_of(service: str, app: FastAPI) -> list[Route]:
    """Every documented route."""
    return [Route(service, method, path, told) for (method, path), told in declared_permissions(app).items()]


def undeclared(app: FastAPI) -> Iterator[str]:
    """Routes that declare nothing, hidden ones too."""
    for route in _flat(app.routes):
        if isinstance(route, APIRoute):
            if "x-permission" not in (route.openapi_extra or {}):
                yield route.path
        elif route.path != DOCUMENT:
            yield route.path


def _flat(routes: Any) -> Iterator[Any]:
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _flat(inner.routes)
        else:
            yield route


async def status_of(app: ASGIApp, route: Route, world: World, token: str | None) -> int:
    """The status with which a call is answered. A stream is left as soon as it has begun."""
    body = route.body(world)
    content = body if isinstance(body, bytes) else orjson.dumps(body) if body is not None else b""
    headers = [(b"host", b"house"), (b"content-length", str(len(content)).encode())]
    headers += TUS if "/tus" in route.path else []
    headers += [(b"content-type", b"application/json")] if content and not isinstance(body, bytes) else []
    headers += [(b"authorization", f"Bearer {token}".encode())] if token else []
    path = route.called(world)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": route.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": route.query(world).encode(),
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("house", 80),
        "state": {},
    }
    answer = _Answer(content)
    serving = asyncio.ensure_future(app(scope, answer.receive, answer.send))
    enough = asyncio.create_task(answer.enough.wait())
    await asyncio.wait((serving, enough), timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for task in (serving, enough):
        task.cancel()
    await asyncio.gather(serving, enough, return_exceptions=True)
    assert answer.status, f"{route} did not answer"
    return answer.status


class _Answer:
    """What comes back; an event stream is `enough` once it has begun, anything else at its end."""

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content
        self._stream = False
        self.status = 0
        self.enough = asyncio.Event()

    async def receive(self) -> Message:
        if self._content is None:
            await self.enough.wait()
            return {"type": "http.disconnect"}
        content, self._content = self._content, None
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
            self._stream = any(kind.startswith(b"text/event-stream") for kind in kinds)
        if self._stream or (message["type"] == "http.response.body" and not message.get("more_body", False)):
            self.enough.set()
