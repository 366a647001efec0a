"""What every external source does: lists what lies below its prefix, gives its bytes, says what it can't."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from common.files.s3 import S3Files, wire
from common.kernel.errors import Invalid, Problem, Unavailable
from common.kernel.ids import new_id
from common.sources import Egress, S3Connection, SharedPath, Source, SwiftConnection, open_source, swift
from common.sources.shared import SharedSource
from tests.servers.s3 import BUCKET, Rclone, S3Server, Swift

SESSION = web.AppKey("session", aiohttp.ClientSession)
HERE = Egress.of(["127.0.0.0/8"])
FILES = {"cat/1.png": b"meow", "狗/大 图.png": b"\x00" * 3_000_000, "empty": b"", "a/b/c/d.txt": b"deep"}


@dataclass
class Place:
    """A source of one kind: how it is described and let in, and how files come to lie there."""

    connection: Any
    secrets: dict[str, str]
    put: Callable[[dict[str, bytes]], Any]
    roots: dict[str, Path]

    async def open(self, egress: Egress = HERE, **changes: Any) -> Source:
        secrets = self.secrets | changes.pop("secrets", {})
        return await open_source(self.connection.model_copy(update=changes), secrets, egress, self.roots)


def _s3(server: S3Server, prefix: str) -> Place:
    connection = S3Connection(endpoint_url=f"http://127.0.0.1:{server.port}", bucket=BUCKET, prefix=f"{prefix}/objects")
    secrets = {"access_key_id": server.key, "secret_access_key": server.secret}
    return Place(connection, secrets, _putting(server, prefix), {})


def _putting(server: S3Server, prefix: str) -> Callable[[dict[str, bytes]], Any]:
    async def put(content: dict[str, bytes]) -> None:
        files = S3Files(server.settings(f"{prefix}/"))
        for path, data in content.items():
            await files.put(path, data)
        await files.close()

    return put


def _swift(server: Swift, prefix: str, auth: str, **more: Any) -> Place:
    connection = SwiftConnection(auth_url=auth, container=BUCKET, prefix=f"{prefix}/objects", **more)
    secrets = {"user_name": server.key, "password": server.secret}
    return Place(connection, secrets, _putting(server, prefix), {})


@asynccontextmanager
async def keystone(server: Swift) -> AsyncIterator[str]:
    """Identity API v3 in front of Swift's own tokens: its answers are those of the specification."""

    async def tokens(request: web.Request) -> web.Response:
        asked = (await request.json())["auth"]
        user = asked["identity"]["password"]["user"]
        if (user["password"], asked["scope"]) != (server.secret, {"project": {"id": "p-1"}}):
            return web.json_response({"error": {"code": 401}}, status=401)
        assert user["domain"] == {"name": "modelyard"}
        async with request.app[SESSION].get(
            f"http://127.0.0.1:{server.port}/auth/v1.0",
            headers={"X-Auth-User": user["name"], "X-Auth-Key": user["password"]},
        ) as own:
            store, token = own.headers["X-Storage-Url"], own.headers["X-Auth-Token"]
        endpoints = [
            {"interface": "public", "region": "elsewhere", "url": "http://203.0.113.9/v1"},
            {"interface": "internal", "region": "dallas", "url": "http://203.0.113.9/v1"},
            {"interface": "public", "region": "dallas", "url": store},
        ]
        catalogue = [{"type": "identity", "endpoints": []}, {"type": "object-store", "endpoints": endpoints}]
        return web.json_response({"token": {"catalog": catalogue}}, status=201, headers={"X-Subject-Token": token})

    app = web.Application()
    app.router.add_post("/v3/auth/tokens", tokens)
    async with aiohttp.ClientSession() as session:
        app[SESSION] = session
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@pytest.fixture(params=["s3-swift", "s3-rclone", "swift-v1", "swift-v3", "path"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    prefix = f"{new_id('src')}/pets"
    if request.param == "path":
        yield _path(tmp_path, prefix)
        return
    if request.param == "s3-rclone":
        rclone: Rclone = request.getfixturevalue("rclone")
        yield _s3(rclone, prefix)
        return
    server: Swift = request.getfixturevalue("swift")
    if request.param == "s3-swift":
        yield _s3(server, prefix)
    elif request.param == "swift-v1":
        yield _swift(server, prefix, f"http://127.0.0.1:{server.port}/auth/v1.0")
    else:
        async with keystone(server) as auth:
            yield _swift(server, prefix, auth, project_id="p-1", domain_name="modelyard", region="dallas")


def _path(root: Path, prefix: str) -> Place:
    async def put(content: dict[str, bytes]) -> None:
        for path, data in content.items():
            (root / prefix / path).parent.mkdir(parents=True, exist_ok=True)
            (root / prefix / path).write_bytes(data)

    return Place(SharedPath(root="lab", prefix=prefix), {}, put, {"lab": root})


async def content(source: Source) -> dict[str, bytes]:
    found = [one async for one in source.files()]
    read = {one.path: b"".join([chunk async for chunk in source.read(one.path)]) for one in found}
    assert isinstance(source, SharedSource) or all(one.tag for one in found), "a copy is known by its tags"
    assert {one.path: one.size for one in found} == {path: len(data) for path, data in read.items()}
    return read


@pytest.mark.row("D11")
async def test_what_lies_below_the_prefix_is_there_with_its_bytes(place: Place) -> None:
    await place.put(FILES)
    source = await place.open()
    try:
        assert await content(source) == FILES
    finally:
        await source.close()
    deeper = await place.open(prefix=f"{place.connection.prefix}/a")
    try:
        assert await content(deeper) == {"b/c/d.txt": b"deep"}
    finally:
        await deeper.close()


@pytest.mark.row("D11")
async def test_many_files_come_page_by_page(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swift, "PAGE", 3)
    monkeypatch.setattr(wire, "PAGE", 3)
    many = {f"{number:04}": b"x" for number in range(7)}
    await place.put(many)
    source = await place.open()
    assert [one.path async for one in source.files()] == sorted(many)
    await source.close()


@pytest.mark.row("D11")
async def test_who_is_not_let_in_is_told_so(place: Place) -> None:
    if not place.secrets:
        source = await place.open(prefix="nowhere")
        with pytest.raises(Invalid, match="There is no folder nowhere"):
            await content(source)
        return
    wrong = dict.fromkeys(place.secrets, "wrong")
    source = await place.open(secrets=wrong)
    with pytest.raises(Problem) as refused:
        await content(source)
    assert refused.value.code == "source_refused"
    assert "wrong" not in refused.value.detail.replace("wrongly", "")
    await source.close()


@pytest.mark.row("D11")
async def test_an_address_inside_the_platform_is_refused(place: Place) -> None:
    if place.secrets:
        with pytest.raises(Invalid) as refused:
            await place.open(Egress())
        assert refused.value.code == "address_refused"


async def test_one_that_is_away_is_said_to_be_away() -> None:
    connection = SwiftConnection(auth_url="http://127.0.0.1:9/auth/v1.0", container="c")
    source = await open_source(connection, {"user_name": "u", "password": "p"}, HERE, {})
    with pytest.raises(Unavailable) as away:
        await content(source)
    assert away.value.code == "source_unavailable"
    await source.close()


@pytest.mark.parametrize("prefix", ["..", "a/../../b", "/../x"])
async def test_a_sub_path_never_leads_out(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(Invalid, match="leads out"):
        await open_source(SharedPath(root="lab", prefix=prefix), {}, HERE, {"lab": tmp_path})


async def test_links_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    (tmp_path / "secret").write_text("s")
    (root / "data" / "own").write_text("o")
    os.symlink(tmp_path / "secret", root / "data" / "link")
    os.symlink(tmp_path, root / "up")
    os.mkfifo(root / "data" / "pipe")
    source = await open_source(SharedPath(root="lab"), {}, HERE, {"lab": root})
    assert await content(source) == {"data/own": b"o"}
    with pytest.raises(Invalid):
        _ = [chunk async for chunk in source.read("data/link")]
    through = await open_source(SharedPath(root="lab", prefix="up"), {}, HERE, {"lab": root})
    with pytest.raises(Invalid, match="it is a link"):
        await content(through)
    with pytest.raises(Invalid) as unknown:
        await open_source(SharedPath(root="other"), {}, HERE, {"lab": root})
    assert unknown.value.code == "unknown_root"
