"""Requests to the services behind: to whom they go, as whom, and that streams stay streams."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from starlette.types import Receive, Scope, Send

from common.kernel.errors import Conflict
from common.web.access import Permission, permits
from common.web.app import create_app
from common.web.identity import Caller, KeyRing
from gateway.domain.routing import GATEWAY, OWNERS
from gateway.upstreams import Remote
from tests.gateway.gate import Answer, gate, http_scope, open_call, replica, request, show, until, whole

pytestmark = pytest.mark.row("P1")


class Recorder:
    """A service that answers what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-served-by", self.name.encode())]})
        await send({"type": "http.response.body", "body": b"{}"})

    def header(self, name: str) -> str | None:
        found = [value.decode() for n, value in self.scopes[-1]["headers"] if n == name.encode()]
        assert len(found) < 2
        return found[0] if found else None


SERVICES = sorted(set(OWNERS.values()) - {GATEWAY})


async def test_every_collection_goes_to_its_owner(tmp_path: Path) -> None:
    behind = {name: Recorder(name) for name in SERVICES}
    async with gate(tmp_path, behind) as g:
        token = await g.log_in()
        for collection, owner in OWNERS.items():
            for path in (f"/api/v1/{collection}", f"/api/v1/{collection}/x-1/more?a=b") if owner != GATEWAY else ():
                answer = await request(g.app, "GET", path, token)
                assert answer.header("x-served-by") == owner, path
                assert behind[owner].scopes[-1]["path"] == path.partition("?")[0]
                assert behind[owner].scopes[-1]["query_string"].decode() == path.partition("?")[2]


async def test_the_owner_sees_who_asks_and_nothing_forged(tmp_path: Path) -> None:
    behind = Recorder("train-svc")
    async with gate(tmp_path, {"train-svc": behind}) as g:
        alice, token = await g.user("alice")
        forged = {
            "x-yard-user": "admin", "x-forwarded-user": "admin", "x-remote-user": "admin", "x-auth-role": "admin",
            "cookie": "a=1", "x-kept": "1", "content-type": "text/x", "connection": "close, x-named", "x-named": "1",
        }  # fmt: skip
        call = open_call(g.app, "GET", "/api/v1/jobs", token, **forged)
        call.body()
        await whole(call)
        names = {name.decode() for name, _ in behind.scopes[-1]["headers"]}
        assert names == {"authorization", "traceparent", "x-kept", "content-type"}
        internal = (behind.header("authorization") or "").removeprefix("Bearer ")
        assert internal != token
        who = KeyRing(tmp_path / "keys" / "public").verify(internal)
        assert (who.id, who.name, who.role) == (alice, "alice", "user")
        await request(g.app, "GET", "/api/v1/jobs", token)
        assert behind.header("authorization") == f"Bearer {internal}", "one is signed a minute, not a request"


async def test_two_authorizations_are_one(tmp_path: Path) -> None:
    behind = Recorder("train-svc")
    async with gate(tmp_path, {"train-svc": behind}) as g:
        _, token = await g.user("alice")
        service = g.context.kit.platform.signer_of("train-svc").for_itself()
        headers = [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {service}")]
        from tests.gateway.gate import Call

        call = Call(g.app, http_scope("GET", "/api/v1/jobs", headers))
        call.body()
        assert (await whole(call)).status == 200
        internal = (behind.header("authorization") or "").removeprefix("Bearer ")
        assert KeyRing(tmp_path / "keys" / "public").verify(internal).name == "alice"


async def test_nobody_passes_without_a_login(tmp_path: Path) -> None:
    behind = {name: Recorder(name) for name in SERVICES}
    async with gate(tmp_path, behind) as g:
        for collection in OWNERS:
            answer = await request(g.app, "GET", f"/api/v1/{collection}")
            assert answer.status in ((401,) if collection not in ("login", "openapi.json") else (200, 405)), collection
        assert not any(
            one.scopes for one in behind.values() if one.scopes and one.scopes[-1]["path"] != "/openapi.json"
        )


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/", "/api/v2/jobs", "/elsewhere", "/api/v1"])
async def test_what_is_not_there_is_a_problem(tmp_path: Path, path: str) -> None:
    async with gate(tmp_path) as g:
        answer = await request(g.app, "GET", path, await g.log_in())
        assert answer.status == 404
        assert answer.json()["code"] in ("no_such_path", "not_found")
        assert answer.header("content-type") == "application/problem+json"
        assert answer.header("x-trace-id")


@pytest.mark.parametrize(
    "path", ["/api/v1/jobs/../users", "/api/v1//jobs", "/api/v1/jobs/%2e%2e/users", "/api/v1/a%2fb"]
)
async def test_paths_that_mean_two_things_are_refused(tmp_path: Path, path: str) -> None:
    async with gate(tmp_path) as g:
        answer = await request(g.app, "GET", path, await g.log_in())
        assert (answer.status, answer.json()["code"]) == (400, "bad_path")


async def test_a_service_that_is_not_installed(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        answer = await request(g.app, "GET", "/api/v1/jobs", await g.log_in())
        assert (answer.status, answer.json()["code"]) == (503, "service_unavailable")


async def test_a_service_that_fails_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("secret detail")

    async def full(scope: Scope, receive: Receive, send: Send) -> None:
        raise OSError(28, "No space left on device")

    async with gate(tmp_path, {"train-svc": broken, "dataset-svc": full}) as g:
        token = await g.log_in()
        answer = await request(g.app, "GET", "/api/v1/jobs", token)
        assert (answer.status, answer.json()["code"]) == (500, "internal")
        assert b"secret" not in answer.body
        assert (await request(g.app, "GET", "/api/v1/datasets", token)).status == 507


async def test_a_failure_after_a_whole_answer_is_no_second_answer(tmp_path: Path) -> None:
    router = APIRouter()

    @router.get("/jobs", **permits(Permission.ANYONE))
    async def fail() -> None:
        raise RuntimeError("told as a 500 by its own app, and raised on")

    async with gate(tmp_path, {"train-svc": create_app("train-svc", "t", KeyRing(tmp_path), router)}) as g:
        answer = await request(g.app, "GET", "/api/v1/jobs", await g.log_in())
        assert (answer.status, answer.json()["code"], answer.complete) == (500, "internal", True)


async def test_a_failure_in_the_midst_of_an_answer_breaks_it_off(tmp_path: Path) -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("in the midst")

    async with gate(tmp_path, {"train-svc": breaks}) as g:
        call = open_call(g.app, "GET", "/api/v1/jobs", await g.log_in())
        call.body()
        with pytest.raises(RuntimeError, match="in the midst"):
            await whole(call)


def _real_service(ring: KeyRing, go: asyncio.Event) -> APIRouter:
    router = APIRouter()

    @router.get("/jobs/{job}/log/stream", response_class=StreamingResponse, **permits(Permission.SEE))
    async def stream(job: str, who: Caller) -> StreamingResponse:
        async def events() -> AsyncIterator[bytes]:
            yield f"data: {who.name}\n\n".encode()
            await go.wait()
            yield b"event: end\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @router.post("/jobs", **permits(Permission.USER))
    async def refuse(who: Caller) -> None:
        raise Conflict("never", f"Not even for {who.name}.")

    return router


async def test_a_services_stream_is_not_buffered(tmp_path: Path) -> None:
    go, ring = asyncio.Event(), KeyRing(tmp_path / "keys" / "public")
    async with gate(tmp_path, {"train-svc": create_app("train-svc", "t", ring, _real_service(ring, go))}) as g:
        token = await g.log_in()
        call = open_call(g.app, "GET", "/api/v1/jobs/job-1/log/stream", token)
        call.body()
        start = await call.next()
        assert start is not None
        assert dict(start["headers"])[b"content-type"].startswith(b"text/event-stream")
        assert await call.chunk() == b"data: admin\n\n"
        go.set()
        assert await call.chunk() == b"event: end\n\n"
        await call.done()
        refused = await request(g.app, "POST", "/api/v1/jobs", token)
        assert (refused.status, refused.json()["detail"]) == (409, "Not even for admin.")


async def test_an_upload_reaches_the_service_as_it_comes(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def take(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            seen.append(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async with gate(tmp_path, {"dataset-svc": take}) as g:
        call = open_call(g.app, "PUT", "/api/v1/datasets/ds-1/uploads/up-1/parts/1", await g.log_in())
        call.body(b"first", more=True)
        await until(lambda: seen == [b"first"])
        call.body(b"last")
        assert (await whole(call)).complete
        assert seen == [b"first", b"last"]


async def test_a_remote_service_is_spoken_to_the_same_way(tmp_path: Path) -> None:
    async with replica(web.route("*", "/{path:.*}", show)) as url:
        remote = Remote(url + "/")
        async with gate(tmp_path, {"train-svc": remote}) as g:
            _, token = await g.user("alice")
            answer = await request(g.app, "POST", "/api/v1/jobs/a%20b?x=%2F", token, b"{}", x_yard_user="admin")
            seen = answer.json()
            assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/api/v1/jobs/a%20b?x=%2F", "{}")
            headers = dict(seen["headers"])
            assert "x-yard-user" not in headers
            internal = headers["authorization"].removeprefix("Bearer ")
            assert KeyRing(tmp_path / "keys" / "public").verify(internal).name == "alice"
            assert headers["traceparent"].split("-")[1] == answer.header("x-trace-id")
    assert remote._session is not None
    assert remote._session.closed, "stopped with the gateway"


async def test_a_remote_service_that_is_down_says_so(tmp_path: Path) -> None:
    async with gate(tmp_path, {"train-svc": Remote("http://127.0.0.1:1", connect_seconds=1)}) as g:
        answer = await request(g.app, "GET", "/api/v1/jobs", await g.log_in())
        assert (answer.status, answer.json()["code"]) == (503, "service_unavailable")


async def test_a_trace_goes_on_into_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    behind = Recorder("train-svc")
    async with gate(tmp_path, {"train-svc": behind}) as g:
        token = await g.log_in()
        given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

        async def ask(**headers: str) -> Answer:
            call = open_call(g.app, "GET", "/api/v1/jobs", token, **headers)
            call.body()
            return await whole(call)

        answer = await ask(traceparent=given)
        assert answer.header("x-trace-id") == given.split("-")[1]
        assert (behind.header("traceparent") or "").split("-")[1] == given.split("-")[1]
        answer = await ask()
        assert re.fullmatch(r"[0-9a-f]{32}", answer.header("x-trace-id") or "")
        assert (behind.header("traceparent") or "").split("-")[1] == answer.header("x-trace-id")

        tracer = TracerProvider().get_tracer("tests")
        monkeypatch.setattr("common.telemetry.traces._tracer", tracer)
        answer = await ask(traceparent=given)
        assert answer.header("x-trace-id") == given.split("-")[1]
        passed = (behind.header("traceparent") or "").split("-")
        assert passed[1] == given.split("-")[1]
        assert passed[2] != given.split("-")[2], "the gateway's own span is the parent"
        assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/api/v1/openapi.json"])
async def test_what_is_open_is_open_also_with_a_stale_login(tmp_path: Path, path: str) -> None:
    async with gate(tmp_path) as g:
        assert (await request(g.app, "GET", path)).status == 200
        assert (await request(g.app, "GET", path, "yk_stale")).status == 200


async def test_logging_in_with_a_stale_login_works(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        body = b'{"name": "admin", "password": "a password for the tests"}'
        answer = await request(g.app, "POST", "/api/v1/login", "stale", body, content_type="application/json")
        assert answer.status == 200
