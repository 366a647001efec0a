"""What answers at the address of a source need be none: it is refused with what it said, whatever it said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from common.kernel.errors import Invalid, Problem, Unavailable
from common.sources import Egress, S3Connection, Source, SwiftConnection, open_source, s3, swift

HERE = Egress.of(["127.0.0.0/8"])
PAGE = "<!DOCTYPE html><html><body>Welcome to nginx!</body></html>"
LIST = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>{}</ListBucketResult>'
WHEN = "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"

Answer = Callable[[web.Request], web.Response]


@asynccontextmanager
async def impostor(answer: Answer, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """A server that gives that answer to everything."""

    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    try:
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def saying(text: str = "", status: int = 200, kind: str = "text/html", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: web.Response(text=text, status=status, content_type=kind, headers=named)


def told(value: Any, **more: Any) -> Answer:
    return saying(json.dumps(value), kind="application/json", **more)


async def refusal(connection: Any, secrets: dict[str, str], *, read: bool = False, egress: Egress = HERE) -> Problem:
    """How its listing, or the reading of a file, is refused."""
    return await problem(await open_source(connection, secrets, egress, {}), read=read)


async def problem(source: Source, *, read: bool) -> Problem:
    """What its listing, or the reading of a file, ends with."""
    try:
        with pytest.raises(Problem) as met:
            _ = [one async for one in (source.read("a") if read else source.files())]
    finally:
        await source.close()
    return met.value


async def from_swift(at: str, *, project: str | None = None) -> Problem:
    connection = SwiftConnection(auth_url=at, container="c", project_id=project)
    return await refusal(connection, {"user_name": "u", "password": "canary"})


async def from_s3(at: str, **how: Any) -> Problem:
    connection = S3Connection(endpoint_url=at, bucket="b")
    return await refusal(connection, {"access_key_id": "k", "secret_access_key": "canary"}, **how)


def refused(problem: Problem, at: str) -> None:
    assert isinstance(problem, Invalid), repr(problem)
    assert problem.code == "source_refused"
    assert at in problem.detail or "s3://b/" in problem.detail
    assert "canary" not in problem.detail


@pytest.mark.row("D11")
@pytest.mark.parametrize(
    "answer",
    [
        saying(PAGE),
        saying(status=204),
        saying(X_Storage_Url="http://127.0.0.1"),
        saying(X_Auth_Token="t"),
        saying(X_Auth_Token="t", X_Storage_Url="http://[::1"),
        saying(status=302, Location="http://127.0.0.1/"),
    ],
)
async def test_what_lets_in_like_no_swift_is_refused(answer: Answer) -> None:
    async with impostor(answer) as at:
        problem = await from_swift(at)
    assert isinstance(problem, Invalid)
    assert problem.code in ("source_refused", "address_refused")


@pytest.mark.row("D11")
@pytest.mark.parametrize(
    "listing",
    [
        saying(PAGE),
        saying(PAGE, kind="application/json"),
        told({"objects": []}),
        told([1]),
        told([{"name": "a"}]),
        told([{"name": "a", "bytes": "many"}]),
        told([{"name": 1, "bytes": 1}]),
        saying("x" * (17 << 20)),
    ],
)
async def test_a_list_that_is_none_of_swift_is_refused(listing: Answer) -> None:
    async with impostor(swift_of(listing)) as at:
        refused(await from_swift(at), at)


@pytest.mark.row("D11")
@pytest.mark.parametrize(
    "answer",
    [
        saying(PAGE),
        told({}),
        told({"token": []}),
        told({"token": {"catalog": {}}}),
        told({"token": {"catalog": [{"type": "object-store", "endpoints": [1]}]}}),
        told({"token": {"catalog": [{"type": "object-store", "endpoints": [{"url": "http://127.0.0.1"}]}]}}),
        told({"token": {}}, X_Subject_Token="t"),
        told(
            {
                "token": {
                    "catalog": [
                        {"type": "object-store", "endpoints": [{"interface": "public", "url": "http://127.0.0.1"}]}
                    ]
                }
            }
        ),
    ],
)
async def test_what_lets_in_like_no_keystone_is_refused(answer: Answer) -> None:
    async with impostor(answer) as at:
        refused(await from_swift(at, project="p"), at)


@pytest.mark.row("D11")
@pytest.mark.parametrize(
    "answer",
    [
        saying(PAGE),
        saying("", kind="text/xml"),
        saying(LIST.format("<Contents><Key>a</Key></Contents>"), kind="text/xml"),
        saying(LIST.format(f"<Contents><Key>a</Key><Size>x</Size>{WHEN}</Contents>"), kind="text/xml"),
        saying(
            LIST.format("<Contents><Key>a</Key><Size>1</Size><LastModified>x</LastModified></Contents>"),
            kind="text/xml",
        ),
        saying(LIST.format("<IsTruncated>true</IsTruncated>"), kind="text/xml"),
        saying(PAGE, status=404),
        saying(PAGE, status=405),
    ],
)
async def test_a_list_that_is_none_of_s3_is_refused(answer: Answer) -> None:
    async with impostor(answer) as at:
        refused(await from_s3(at), at)


@pytest.mark.row("D11")
@pytest.mark.parametrize("text", ["<html><br>not well-formed</html>", "Hello, world!"])
async def test_a_list_that_is_no_xml_at_all_is_taken_for_one_that_was_cut_off(text: str) -> None:
    async with impostor(saying(text)) as at:
        problem = await from_s3(at)
    assert (type(problem), problem.code) == (Unavailable, "source_unavailable")
    assert at in problem.detail


def swift_of(listing: Answer) -> Answer:
    """A Swift of version 1 that lets everybody in and lists so."""

    def answer(request: web.Request) -> web.Response:
        entered = {"X-Storage-Url": f"http://{request.host}/v1/store", "X-Auth-Token": "t"}
        return listing(request) if request.path.startswith("/v1") else web.Response(headers=entered)

    return answer


def folders(*names: str) -> Answer:
    return told([{"name": name, "bytes": 0} for name in names])


def ever_deeper(request: web.Request) -> web.Response:
    return folders(f"{request.query['marker']}a/")(request)


@pytest.mark.row("D11")
@pytest.mark.parametrize("listing", [folders("a/"), ever_deeper])
async def test_a_list_of_swift_that_never_ends_is_refused(listing: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swift, "PAGE", 1)
    monkeypatch.setattr(swift, "BARREN", 5)
    async with asyncio.timeout(120), impostor(swift_of(listing)) as at:
        problem = await from_swift(at)
    refused(problem, at)
    assert "list" in problem.detail


@pytest.mark.row("D11")
@pytest.mark.parametrize("row", ["", f"<Contents><Key>a/</Key><Size>0</Size>{WHEN}</Contents>"])
async def test_a_list_of_s3_that_never_ends_is_refused(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "BARREN", 5)
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>"
    async with asyncio.timeout(120), impostor(saying(LIST.format(row + more), kind="text/xml")) as at:
        refused(await from_s3(at), at)


@pytest.mark.row("D11")
@pytest.mark.parametrize("status", [408, 429, 498, 503])
async def test_a_swift_that_asks_for_patience_is_away(status: int) -> None:
    async with impostor(swift_of(saying(status=status))) as at:
        problem = await from_swift(at)
    assert (type(problem), problem.code) == (Unavailable, "source_unavailable")


@pytest.mark.row("D11")
async def test_a_store_inside_the_platform_is_refused_however_often_one_asks() -> None:
    asked = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(headers={"X-Storage-Url": "http://127.0.0.2:9/v1", "X-Auth-Token": "t"})

    async with impostor(answer) as at:
        connection = SwiftConnection(auth_url=at, container="c")
        secrets = {"user_name": "u", "password": "canary"}
        source = await open_source(connection, secrets, Egress.of(["127.0.0.1/32"]), {})
        for _ in range(2):
            with pytest.raises(Invalid) as inside:
                _ = [one async for one in source.files()]
            assert inside.value.code == "address_refused"
        await source.close()
    assert asked == ["/", "/"], "nothing is kept of a store that was refused: each time one logs in anew"


@pytest.mark.row("D11")
@pytest.mark.parametrize("answer", [saying(PAGE), saying(PAGE, status=404), saying(PAGE, status=405)])
async def test_a_file_that_s3_does_not_give_is_refused(answer: Answer) -> None:
    async with impostor(answer) as at:
        refused(await from_s3(at, read=True), at)


@pytest.mark.row("D11")
@pytest.mark.parametrize("address", ["http://[::1", "http://a:99999", "http://a:x"])
async def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Invalid) as problem:
        await Egress().check(address)
    assert problem.value.code == "address_refused"


@pytest.mark.row("D11")
@pytest.mark.parametrize("read", [False, True])
async def test_who_is_sent_on_to_an_address_that_is_not_allowed_reaches_nothing(read: bool) -> None:
    """From one address of this machine, which is allowed, to another, which is not."""
    reached = []

    def inside(request: web.Request) -> web.Response:
        reached.append(request.path)
        return web.Response(text="a secret", headers={"ETag": '"x"'})

    async with AsyncExitStack() as stack:
        there = await stack.enter_async_context(impostor(inside, "127.0.0.2"))
        at = await stack.enter_async_context(impostor(saying(status=307, Location=f"{there}/latest")))
        problem = await from_s3(at, read=read, egress=Egress.of(["127.0.0.1/32"]))
    assert reached == []
    assert "secret" not in problem.detail
