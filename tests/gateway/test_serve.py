"""The data plane: who may call, who answers, and that nothing is buffered, sent twice or leaked."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from common.contracts.service import Endpoint
from common.contracts.shared import Visibility
from common.kernel.clock import ManualClock
from common.kernel.errors import NotFound
from common.kernel.ids import new_id
from common.ports.routes import Route
from tests.gateway.gate import Call, Gate, gate, http_scope, open_call, replica, request, show, until, whole

pytestmark = [pytest.mark.row("S6"), pytest.mark.row("P1")]

HERE = "/serve/svc-1"


@pytest_asyncio.fixture
async def g(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gate(tmp_path) as opened:
        yield opened


@pytest.fixture
def closed_port() -> Iterator[Callable[[], str]]:
    """Gives addresses at which nobody listens, nor is able to meanwhile."""
    with contextlib.ExitStack() as stack:

        def take() -> str:
            taken = stack.enter_context(socket.socket())
            taken.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{taken.getsockname()[1]}"

        yield take


async def test_a_request_goes_through_whole(g: Gate) -> None:
    async with replica(web.route("*", "/{path:.*}", show)) as url:
        g.route(url)
        key = (await g.key(await g.log_in()))["key"]
        answer = await request(
            g.app, "PUT", f"{HERE}/v2/models/a%20b/infer?x=1&y=%2F", key, b"question", content_type="text/x", x_mine="1"
        )
        assert answer.status == 200
        seen = answer.json()
        headers = dict(seen["headers"])
        assert (seen["method"], seen["path"]) == ("PUT", "/v2/models/a%20b/infer?x=1&y=%2F")
        assert seen["body"] == "question"
        assert headers["content-type"] == "text/x"
        assert headers["x-mine"] == "1"
        assert headers["x-forwarded-prefix"] == HERE
        assert headers["content-length"] == "8"
        assert "accept-encoding" not in headers, "the gateway asks for nothing of its own"
        assert answer.header("content-type") == "application/json; charset=utf-8"
        assert answer.header("x-trace-id") == headers["traceparent"].split("-")[1]


@pytest.mark.parametrize("tail", ["", "/"])
async def test_the_address_itself_is_the_replicas_root(g: Gate, tail: str) -> None:
    async with replica(web.route("*", "/{path:.*}", show)) as url:
        g.route(url)
        answer = await request(g.app, "GET", HERE + tail, await g.log_in())
        assert answer.json()["path"] == "/"
        assert answer.json()["body"] == ""


async def test_what_identifies_the_caller_stays_here(g: Gate) -> None:
    async with replica(web.route("*", "/{path:.*}", show)) as url:
        g.route(url)
        forged = {
            "cookie": "session=1",
            "x-forwarded-for": "1.2.3.4",
            "x-forwarded-prefix": "/else",
            "x-yard-user": "admin",
            "x-real-ip": "1.2.3.4",
            "forwarded": "for=1.2.3.4",
            "remote-user": "admin",
            "x-api-key": "yk_secret",
            "proxy-authorization": "Basic eA==",
            "connection": "keep-alive, X-Hop",
            "x-hop": "1",
            "keep-alive": "timeout=5",
            "te": "trailers",
            "upgrade": "h2c",
        }
        call = open_call(g.app, "GET", f"{HERE}/x", await g.log_in(), **forged)
        call.body()
        names = dict((await whole(call)).json()["headers"])
        assert set(names) <= {"host", "x-forwarded-prefix", "x-forwarded-proto", "traceparent", "connection"}
        assert names["x-forwarded-prefix"] == HERE
        assert names["host"] == url.removeprefix("http://")


async def test_a_replicas_cookies_and_hop_headers_do_not_come_back(g: Gate) -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Set-Cookie": "a=1", "Connection": "X-Hop", "X-Hop": "1", "Server": "mine", "X-Kept": "1"}
        return web.Response(text="ok", headers=headers)

    async with replica(web.get("/", answer)) as url:
        g.route(url)
        found = await request(g.app, "GET", f"{HERE}/", await g.log_in())
        names = {name.decode() for name, _ in found.headers}
        assert names == {"content-type", "content-length", "x-kept", "x-trace-id"}


async def test_a_clients_trace_goes_on(g: Gate) -> None:
    async with replica(web.route("*", "/{path:.*}", show)) as url:
        g.route(url)
        given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        token = await g.log_in()
        answer = await request(g.app, "GET", f"{HERE}/", token, traceparent=given)
        assert dict(answer.json()["headers"])["traceparent"] == given
        assert answer.header("x-trace-id") == "4bf92f3577b34da6a3ce929d0e0e4736"
        for nonsense in ("x", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "ff" + given[2:], given.upper()):
            answer = await request(g.app, "GET", f"{HERE}/", token, traceparent=nonsense)
            assert dict(answer.json()["headers"])["traceparent"] != nonsense


async def test_only_who_may_see_a_service_may_call_it(g: Gate) -> None:
    alice, of_alice = await g.user("alice")
    _, of_bob = await g.user("bob")
    of_admin = await g.log_in()
    async with replica(web.route("*", "/{path:.*}", show)) as url:
        g.route(url, owner=alice, visibility=Visibility.PRIVATE)
        private = [(await request(g.app, "GET", HERE, token)).status for token in (of_alice, of_bob, of_admin)]
        assert private == [200, 404, 200]
        absent = await request(g.app, "GET", "/serve/svc-2", of_bob)
        hidden = await request(g.app, "GET", HERE, of_bob)
        assert hidden.json() == {**absent.json(), "detail": absent.json()["detail"].replace("svc-2", "svc-1")}
        g.route(url, owner=alice, visibility=Visibility.PUBLIC)
        assert (await request(g.app, "GET", HERE, of_bob)).status == 200
        nobody = await request(g.app, "GET", HERE)
        assert nobody.status == 401
        assert nobody.header("www-authenticate") == "Bearer"


async def test_a_revoked_key_and_a_disabled_user_are_refused_at_once(g: Gate) -> None:
    alice, token = await g.user("alice")
    made = await g.key(token)
    async with replica(web.route("*", "/{path:.*}", show)) as url:
        g.route(url)
        assert (await request(g.app, "GET", HERE, made["key"])).status == 200
        await g.client(token).delete(f"/api-keys/{made['id']}")
        assert (await request(g.app, "GET", HERE, made["key"])).status == 401
        assert (await request(g.app, "GET", HERE, token)).status == 200
        await g.client(await g.log_in()).post(f"/users/{alice}/disable")
        assert (await request(g.app, "GET", HERE, token)).status == 401


async def test_a_belief_ends_after_its_seconds(tmp_path: Path) -> None:
    clock = ManualClock()
    async with gate(tmp_path, clock=clock, verified_seconds=5) as g:
        header = f"Bearer {await g.log_in()}".encode()
        await g.context.authenticator.authenticate(header)
        assert g.context.authenticator.known(header) is not None
        clock.advance(5)
        assert g.context.authenticator.known(header) is None


AMBIGUOUS = (
    "/../x",
    "/a/../b",
    "/a/./b",
    "//x",
    "/a//b",
    "/%2e%2e/x",
    "/%2E%2E",
    "/a%2fb",
    "/a%5cb",
    "/\\b",
    "/%00",
    "/..",
    "/%00",
)
HONEST = ("/.well-known/x", "/a..b", "/a.b/c", "/a%20b", "/~x/*", "/@x:y", "/é")


async def test_paths_that_mean_two_things_are_refused_and_odd_ones_go_through(g: Gate) -> None:
    async with replica(web.route("*", "/{path:.*}", show)) as url:
        g.route(url)
        token = await g.log_in()
        for path in AMBIGUOUS:
            answer = await request(g.app, "GET", HERE + path, token)
            assert (answer.status, answer.json()["code"]) == (400, "bad_path"), path
        for path in HONEST:
            assert (await request(g.app, "GET", HERE + path, token)).status == 200, path


@pytest.mark.row("S7")
async def test_a_stopped_service_says_how_to_start_it(g: Gate) -> None:
    g.route(state="stopped")
    answer = await request(g.app, "POST", HERE, await g.log_in(), b"{}")
    assert answer.status == 503
    problem = answer.json()
    assert problem["code"] == "service_stopped"
    assert answer.header("retry-after") is None, "it stays so until somebody starts it"
    assert "/api/v1/services/svc-1/start" in problem["detail"]


async def test_a_starting_service_says_that_nobody_is_ready(g: Gate) -> None:
    g.route(state="starting")
    answer = await request(g.app, "GET", HERE, await g.log_in())
    assert (answer.status, answer.json()["code"]) == (503, "no_ready_replica")
    assert answer.header("retry-after") == "1"


async def test_another_replica_answers_where_one_takes_no_connection(g: Gate, closed_port: Callable[[], str]) -> None:
    token = await g.log_in()
    async with replica(web.route("*", "/{path:.*}", show)) as url:
        g.route(closed_port(), url, closed_port())
        for _ in range(10):
            answer = await request(g.app, "POST", HERE, token, b"the whole body")
            assert answer.status == 200
            assert answer.json()["body"] == "the whole body"
        g.route(closed_port(), closed_port())
        answer = await request(g.app, "POST", HERE, token, b"x")
        assert (answer.status, answer.json()["code"]) == (502, "replica_unreachable")
    assert g.context.routes.in_flight("svc-1") == 0


STOPPED, PRIVATE, GONE = {"replicas": 0}, {"visibility": "private"}, NotFound("service_not_found", "There is none.")


@pytest.mark.row("S7")
@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({}, (200, None)),
        (STOPPED, (503, "service_stopped")),
        (PRIVATE, (404, "service_not_found")),
        (GONE, (404, "service_not_found")),
    ],
)
async def test_where_nobody_takes_a_connection_the_owner_says_how_it_is_now(
    g: Gate, closed_port: Callable[[], str], monkeypatch: pytest.MonkeyPatch, now: Any, expected: tuple[int, str | None]
) -> None:
    """It has another replica, was stopped, is nobody else's any more, or is gone; and the gateway has not heard it."""
    service = new_id("svc")
    heard = Endpoint(replica="rep-1", url=closed_port())
    g.context.routes.set(Route(service, "bob", Visibility.PUBLIC, "running", (heard,)))
    async with replica(web.route("*", "/{path:.*}", show)) as url:

        async def told(*_: str) -> dict[str, Any]:
            if isinstance(now, NotFound):
                raise now
            about = {"id": service, "name": "s", "owner": "bob", "visibility": "public", "state": "running"}
            return about | {"replicas": 1, "endpoints": [{"replica": "rep-2", "url": url}]} | now

        monkeypatch.setattr(g.context.kit.calls, "get", told)
        _, alice = await g.user("alice")
        answer = await request(g.app, "POST", f"/serve/{service}", alice, b"the whole body")
    assert (answer.status, answer.json().get("code")) == expected
    assert expected[1] or answer.json()["body"] == "the whole body"
    assert g.context.routes.in_flight(service) == 0


async def test_a_streamed_body_reaches_the_next_replica_whole(g: Gate, closed_port: Callable[[], str]) -> None:
    async with replica(web.route("*", "/{path:.*}", show)) as url:
        g.route(closed_port(), closed_port(), url)
        call = open_call(g.app, "POST", HERE, await g.log_in())
        call.body(b"one ", more=True)
        call.body(b"two", more=False)
        answer = await whole(call)
        assert answer.json()["body"] == "one two"
        assert dict(answer.json()["headers"])["transfer-encoding"] == "chunked"


async def test_the_replica_with_the_fewest_in_flight_is_next(g: Gate) -> None:
    go = asyncio.Event()
    busy = [0, 0, 0]

    def held(number: int) -> web.RouteDef:
        async def hold(_: web.Request) -> web.Response:
            busy[number] += 1
            await go.wait()
            return web.Response(text=str(number))

        return web.get("/", hold)

    token = await g.log_in()
    async with contextlib.AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(replica(held(number))) for number in range(3)]
        g.route(*urls)
        calls = [asyncio.create_task(request(g.app, "GET", HERE, token)) for _ in range(9)]
        await until(lambda: sum(busy) == 9)
        assert busy == [3, 3, 3]
        assert g.context.routes.in_flight("svc-1") == 9
        g.route(*urls[:2])
        assert g.context.routes.in_flight("svc-1") == 6, "counters of replicas that stay are kept"
        go.set()
        assert {answer.status for answer in await asyncio.gather(*calls)} == {200}
        assert g.context.routes.in_flight("svc-1") == 0


async def test_a_replica_that_dies_before_it_answers_is_a_502_and_nothing_is_sent_twice(g: Gate) -> None:
    asked = 0

    async def die(incoming: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        assert incoming.transport is not None
        incoming.transport.abort()
        return web.Response()

    async with replica(web.post("/", die)) as one, replica(web.post("/", die)) as other:
        g.route(one, other)
        answer = await request(g.app, "POST", HERE, await g.log_in(), b"x")
    assert (answer.status, answer.json()["code"]) == (502, "replica_failed")
    assert asked == 1


async def test_an_answer_that_breaks_off_is_broken_off_here_too(g: Gate) -> None:
    async def half(incoming: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(incoming)
        await answer.write(b"half")
        assert incoming.transport is not None
        incoming.transport.abort()
        return answer

    async with replica(web.get("/", half)) as url:
        g.route(url)
        answer = await request(g.app, "GET", HERE, await g.log_in())
    assert answer.status == 200
    assert answer.body in (b"", b"half")
    assert not answer.complete, "the client must not take it for whole"


async def test_what_is_no_http_is_a_502(g: Gate) -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"I speak no HTTP\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        g.route(f"http://127.0.0.1:{port}")
        answer = await request(g.app, "GET", HERE, await g.log_in())
    assert (answer.status, answer.json()["code"]) == (502, "replica_failed")


async def test_an_answer_that_never_comes_is_a_504(tmp_path: Path) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with replica(web.get("/", never)) as url, gate(tmp_path, answer_seconds=1.0) as g:
        g.route(url)
        answer = await request(g.app, "GET", HERE, await g.log_in())
        assert (answer.status, answer.json()["code"]) == (504, "replica_timeout")
        assert g.context.routes.in_flight("svc-1") == 0


async def test_server_sent_events_come_one_by_one(g: Gate) -> None:
    go = asyncio.Event()

    async def events(incoming: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(incoming)
        await answer.write(b"data: 1\n\n")
        await go.wait()
        await answer.write(b"data: 2\n\n")
        return answer

    async with replica(web.get("/", events)) as url:
        g.route(url)
        call = open_call(g.app, "GET", HERE, await g.log_in())
        call.body()
        start = await call.next()
        assert start is not None
        assert start["status"] == 200
        assert b"content-length" not in dict(start["headers"])
        assert await call.chunk() == b"data: 1\n\n"
        go.set()
        assert await call.chunk() == b"data: 2\n\n"
        await call.done()


async def test_an_upload_reaches_the_replica_as_it_comes(g: Gate) -> None:
    seen: list[bytes] = []

    async def take(incoming: web.Request) -> web.Response:
        async for chunk in incoming.content.iter_any():
            seen.append(chunk)
        return web.Response(text=incoming.headers["Content-Length"])

    async with replica(web.post("/", take)) as url:
        g.route(url)
        call = open_call(g.app, "POST", HERE, await g.log_in(), content_length="10")
        call.body(b"first", more=True)
        await until(lambda: seen == [b"first"])
        call.body(b"", more=True)
        call.body(b"later", more=False)
        answer = await whole(call)
        assert b"".join(seen) == b"firstlater"
        assert answer.body == b"10"


async def test_a_long_upload_waits_for_a_slow_replica(g: Gate) -> None:
    go = asyncio.Event()
    size = 64 * 1024

    async def slow(incoming: web.Request) -> web.Response:
        await go.wait()
        return web.Response(text=str(len(await incoming.read())))

    async with replica(web.post("/", slow)) as url:
        g.route(url)
        call = open_call(g.app, "POST", HERE, await g.log_in())
        for _ in range(400):
            call.body(b"x" * size, more=True)
        call.body(b"", more=False)
        for _ in range(200):
            await asyncio.sleep(0)
        taken_before, taken = -1, call.taken
        while taken != taken_before:
            await asyncio.sleep(0.02)
            taken_before, taken = taken, call.taken
        assert taken < 390, "what the replica does not take is not fetched from the client"
        go.set()
        assert (await whole(call)).body == str(400 * size).encode()


async def test_both_length_and_chunked_is_chunked_alone(g: Gate) -> None:
    async with replica(web.route("*", "/{path:.*}", show)) as url:
        g.route(url)
        token = await g.log_in()
        call = open_call(g.app, "POST", HERE, token, content_length="3", transfer_encoding="chunked")
        call.body(b"abc", more=True)
        call.body(b"def")
        seen = (await whole(call)).json()
        assert seen["body"] == "abcdef"
        assert "content-length" not in dict(seen["headers"])


async def test_a_client_that_leaves_in_its_upload_leaves_nothing_behind(g: Gate) -> None:
    ended: list[str] = []

    async def take(incoming: web.Request) -> web.Response:
        try:
            await incoming.read()
            ended.append("whole")
        except BaseException:
            ended.append("broken off")
            raise
        return web.Response()

    async with replica(web.post("/", take)) as url:
        g.route(url)
        call = open_call(g.app, "POST", HERE, await g.log_in())
        call.body(b"x", more=True)
        await until(lambda: g.context.routes.in_flight("svc-1") == 1)
        call.disconnect()
        await call.done()
        await until(lambda: bool(ended))
    assert ended == ["broken off"]
    assert g.context.routes.in_flight("svc-1") == 0


async def test_a_client_that_leaves_a_stream_frees_the_replica(g: Gate) -> None:
    left = asyncio.Event()

    async def events(incoming: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(incoming)
        try:
            while True:
                await answer.write(b"data: x\n\n")
                await asyncio.sleep(0.01)
        except (ConnectionError, asyncio.CancelledError):
            left.set()
            raise

    async with replica(web.get("/", events)) as url:
        g.route(url)
        call = open_call(g.app, "GET", HERE, await g.log_in())
        call.body()
        await call.next()
        call.disconnect()
        await call.done()
        await asyncio.wait_for(left.wait(), 60)
    assert g.context.routes.in_flight("svc-1") == 0


async def test_a_client_that_leaves_before_the_answer_frees_the_replica(tmp_path: Path) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with gate(tmp_path) as g, replica(web.get("/", never)) as url:
        g.route(url)
        call = open_call(g.app, "GET", HERE, await g.log_in())
        call.body()
        await until(lambda: g.context.routes.in_flight("svc-1") == 1)
        call.disconnect()
        await call.done()
        assert g.context.routes.in_flight("svc-1") == 0
        assert await call.next() is None, "nobody is there to be answered"


async def test_a_cancelled_request_stays_cancelled(g: Gate) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with replica(web.get("/", never)) as url:
        g.route(url)
        task = asyncio.create_task(request(g.app, "GET", HERE, await g.log_in()))
        await until(lambda: g.context.routes.in_flight("svc-1") == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("status", [204, 304, 404, 500, 302])
async def test_answers_come_back_as_they_are(g: Gate, status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "/elsewhere", "ETag": '"x"'})

    async with replica(web.get("/", answer)) as url:
        g.route(url)
        found = await request(g.app, "GET", HERE, await g.log_in())
        assert found.status == status
        assert found.header("location") == "/elsewhere"
        assert found.complete


async def test_head_has_a_length_and_no_body(g: Gate) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1000)

    async with replica(web.get("/", answer)) as url:
        g.route(url)
        found = await request(g.app, "HEAD", HERE, await g.log_in())
        assert (found.status, found.header("content-length"), found.body) == (200, "1000", b"")


async def test_compressed_answers_stay_compressed(g: Gate) -> None:
    async def answer(incoming: web.Request) -> web.Response:
        assert incoming.headers["Accept-Encoding"] == "gzip"
        return web.Response(body=b"\x1f\x8b not really", headers={"Content-Encoding": "gzip"})

    async with replica(web.get("/", answer)) as url:
        g.route(url)
        found = await request(g.app, "GET", HERE, await g.log_in(), accept_encoding="gzip")
        assert found.body == b"\x1f\x8b not really"
        assert found.header("content-encoding") == "gzip"


async def test_repeated_headers_stay_repeated(g: Gate) -> None:
    async def answer(incoming: web.Request) -> web.Response:
        found = web.Response(text=",".join(incoming.headers.getall("X-Many")))
        found.headers.extend([("X-Back", "1"), ("X-Back", "2")])
        return found

    async with replica(web.get("/", answer)) as url:
        g.route(url)
        headers = [("authorization", f"Bearer {await g.log_in()}"), ("x-many", "a"), ("x-many", "b")]
        call = Call(g.app, http_scope("GET", HERE, headers))
        call.body()
        found = await whole(call)
        assert found.body == b"a,b"
        assert [value for name, value in found.headers if name == b"x-back"] == [b"1", b"2"]


async def test_a_large_answer_comes_whole(g: Gate) -> None:
    content = bytes(range(256)) * 4096 * 8

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=content)

    async with replica(web.get("/", answer)) as url:
        g.route(url)
        found = await request(g.app, "GET", HERE, await g.log_in())
        assert found.complete
        assert found.body == content


async def test_one_large_message_goes_through(g: Gate) -> None:
    async with replica(web.route("*", "/{path:.*}", show)) as url:
        g.route(url)
        body = b"x" * (3 << 20)
        found = await request(g.app, "POST", HERE, await g.log_in(), body, content_length=str(len(body)))
        assert len(found.json()["body"]) == len(body)
        assert dict(found.json()["headers"])["content-length"] == str(len(body))
