"""Whatever an object is called, its own bytes are read: no name is a path that leads elsewhere."""

from __future__ import annotations

import hashlib

import pytest
from aiohttp import web

from common.files.s3.wire import Wire
from common.kernel.ids import new_id
from common.sources import Egress, S3Connection, Source, SwiftConnection, open_source
from tests.contracts.sources.test_impostors import HERE, impostor, refusal, saying, swift_of, told
from tests.contracts.sources.test_sources import content
from tests.servers.s3 import BUCKET, Rclone, S3Server, Swift

PLAIN = ["100%.png", "%41 ?x=1#f+g&h;i.txt", "狗 大图.png", "a b/c~'(d)!*.txt", '["q"].txt']
"""Names that a disk can have, too."""

STEPS = ["a/../b c.txt", "./d", "../x/y", "e//f", "g/..", "%2e%2e/h", "/i"]
"""Names with what would be steps in a path."""


async def put(server: S3Server, prefix: str, names: list[str]) -> dict[str, bytes]:
    """Objects whose content is their name."""
    wire = Wire(server.settings(""))
    files = {name: name.encode() for name in names}
    for name, data in files.items():
        await wire.put(prefix + name, data, _sha256(data), {})
    await wire.close()
    return files


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def from_s3(server: S3Server, prefix: str) -> Source:
    connection = S3Connection(endpoint_url=f"http://127.0.0.1:{server.port}", bucket=BUCKET, prefix=prefix)
    return await open_source(connection, {"access_key_id": server.key, "secret_access_key": server.secret}, HERE, {})


async def from_swift(server: Swift, prefix: str) -> Source:
    auth = f"http://127.0.0.1:{server.port}/auth/v1.0"
    connection = SwiftConnection(auth_url=auth, container=BUCKET, prefix=prefix)
    return await open_source(connection, {"user_name": server.key, "password": server.secret}, HERE, {})


async def read_of(source: Source) -> dict[str, bytes]:
    try:
        return await content(source)
    finally:
        await source.close()


@pytest.mark.row("D11")
async def test_each_name_is_its_own_object(swift: Swift) -> None:
    prefix = f"{new_id('src')}/100% a+b&c#?猫/"
    files = await put(swift, prefix, PLAIN + STEPS)
    await put(swift, prefix.rpartition("/")[0] + "-beside/", ["no.txt"])
    assert await read_of(await from_swift(swift, prefix)) == files
    assert await read_of(await from_s3(swift, prefix)) == files


@pytest.mark.row("D11")
async def test_each_name_is_its_own_file(rclone: Rclone) -> None:
    prefix = f"{new_id('src')}/100% a+b&c#猫/"
    files = await put(rclone, prefix, PLAIN)
    assert await read_of(await from_s3(rclone, prefix)) == files


@pytest.mark.row("D11")
@pytest.mark.parametrize("name", STEPS)
async def test_no_name_leads_out_of_the_container(name: str) -> None:
    asked = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response(body=b"x")

    async with impostor(swift_of(answer)) as at:
        source = await open_source(
            SwiftConnection(auth_url=at, container=".."), {"user_name": "u", "password": "p"}, HERE, {}
        )
        _ = [chunk async for chunk in source.read(name)]
        await source.close()
    assert [path.startswith("/v1/store/../") for path in asked] == [True], "not even where the container is called so"


@pytest.mark.row("D11")
async def test_a_store_whose_address_ends_in_a_slash_is_the_same() -> None:
    asked = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path.partition("?")[0])
        if request.path != "/":
            return told([])(request)
        return web.Response(headers={"X-Storage-Url": f"http://{request.host}/v1/store%20a/", "X-Auth-Token": "t"})

    async with impostor(answer) as at:
        source = await open_source(
            SwiftConnection(auth_url=at, container="c"), {"user_name": "u", "password": "p"}, HERE, {}
        )
        assert [one async for one in source.files()] == []
        await source.close()
    assert asked == ["/", "/v1/store%20a/c"]


@pytest.mark.row("D11")
async def test_a_store_whose_address_is_none_is_refused() -> None:
    """It has a host to who looks that up, and none to who would connect."""
    entered = saying(X_Storage_Url="http://]x[::1", X_Auth_Token="t")
    async with impostor(entered) as at:
        connection = SwiftConnection(auth_url=at, container="c")
        egress = Egress.of(["127.0.0.0/8", "::1/128"])
        problem = await refusal(connection, {"user_name": "u", "password": "canary"}, egress=egress)
    assert problem.code in ("source_refused", "address_refused")
    assert "canary" not in problem.detail
