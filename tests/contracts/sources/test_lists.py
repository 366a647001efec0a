"""An empty list of S3 is told from what is no list: by what it says, without another question."""

from __future__ import annotations

import pytest
from aiohttp import web

from common.kernel.errors import Invalid, Unavailable
from common.kernel.ids import new_id
from common.sources import S3Connection, open_source
from tests.contracts.sources.test_impostors import HERE, LIST, PAGE, Answer, from_s3, impostor, refused, saying
from tests.contracts.sources.test_sources import _s3
from tests.servers.s3 import S3Server


def listing(listed: Answer, asked: Answer) -> Answer:
    """What gives one answer to who asks for a list, and another to who asks whether an object is there."""
    return lambda request: (asked if request.method == "HEAD" else listed)(request)


@pytest.mark.row("D11")
@pytest.mark.parametrize("status", [404, 403, 503])
async def test_a_web_page_is_no_empty_list_whatever_else_it_answers(status: int) -> None:
    async with impostor(listing(saying(PAGE), saying(status=status))) as at:
        problem = await from_s3(at)
    refused(problem, at)
    assert "Correct the endpoint" in problem.detail


@pytest.mark.row("D11")
@pytest.mark.parametrize("said", ["", "<IsTruncated>false</IsTruncated><KeyCount>0</KeyCount>"])
async def test_an_empty_list_is_one(said: str) -> None:
    methods = []

    def answer(request: web.Request) -> web.Response:
        methods.append(request.method)
        return saying(LIST.format(said), kind="text/xml")(request)

    async with impostor(answer) as at:
        secrets = {"access_key_id": "k", "secret_access_key": "s"}
        source = await open_source(S3Connection(endpoint_url=at, bucket="b"), secrets, HERE, {})
        assert [one async for one in source.files()] == []
        await source.close()
    assert methods == ["GET"], "nothing else was asked"


@pytest.mark.row("D11")
@pytest.mark.parametrize("kind", ["rclone", "swift"])
async def test_a_prefix_of_a_real_server_without_a_file_is_empty(kind: str, request: pytest.FixtureRequest) -> None:
    server: S3Server = request.getfixturevalue(kind)
    source = await _s3(server, new_id("src")).open()
    assert [one async for one in source.files()] == []
    await source.close()


@pytest.mark.row("D11")
@pytest.mark.parametrize(("status", "kind"), [(503, Unavailable), (404, Invalid), (403, Invalid)])
async def test_a_list_that_is_refused_is_no_empty_one(status: int, kind: type[Exception]) -> None:
    async with impostor(saying(status=status)) as at:
        assert isinstance(await from_s3(at), kind)
