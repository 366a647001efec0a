"""Uploads that go straight to the file store: resumed, checked, refused, and never left behind (row D2)."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image
from yarl import URL

from common.files.s3 import S3Files, S3Settings
from common.kernel.errors import Unavailable
from common.kernel.ids import new_id
from common.service import Platform
from dataset_svc import storage
from dataset_svc.reconcile import Tidy
from dataset_svc.service import build
from dataset_svc.settings import Settings
from tests.dataset_svc.conftest import Desk, Place, pictures
from tests.servers.proxy import Proxy
from tests.servers.s3 import Swift
from tests.support.platform import running

MIB = 1 << 20
Opened = Callable[[S3Settings], AbstractAsyncContextManager[Place]]


def large() -> bytes:
    """An archive of two parts, the first of which is as small as S3 allows."""
    picture = io.BytesIO()
    Image.frombytes("RGB", (1500, 1200), os.urandom(3 * 1500 * 1200)).save(picture, "BMP")
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        for path, data in {**pictures(), "cat/large.bmp": picture.getvalue()}.items():
            archive.writestr(path, data)
    return buffer.getvalue()


ARCHIVE = large()


@pytest.fixture
def settings(swift: Swift) -> S3Settings:
    return swift.settings(f"{new_id('store')}/")


@pytest.fixture
def opened(home: Path) -> Opened:
    @asynccontextmanager
    async def open_(settings: S3Settings) -> AsyncIterator[Place]:
        files = S3Files(settings)

        def built(platform: Platform) -> Any:
            return build(replace(platform, files=files), Settings(part_bytes=5 * MIB, tidy_seconds=3600))

        try:
            async with running(home, [built]) as house:
                yield Place(house)
        finally:
            await files.close()

    return open_


@pytest.fixture
async def place(opened: Opened, settings: S3Settings) -> AsyncIterator[Place]:
    async with opened(settings) as found:
        yield found


async def begun(desk: Desk, dataset: str, **more: Any) -> dict[str, Any]:
    upload = await desk.begin(dataset, ARCHIVE, direct=True, **more)
    assert (upload["direct"], upload["part_count"]) == (True, 2)
    return upload


async def put(desk: Desk, at: str, numbers: Sequence[int] = (1, 2), content: bytes = ARCHIVE) -> list[int]:
    """Send these parts by links; gives the statuses."""
    links = await desk.ok("POST", f"{at}/links", json={"numbers": list(numbers)})
    found = []
    async with aiohttp.ClientSession() as anybody:
        for link in links["items"]:
            start = 5 * MIB * (link["number"] - 1)
            data = io.BytesIO(content[start : start + link["size"]])
            async with anybody.put(URL(link["url"], encoded=True), data=data) as answer:
                found.append(answer.status)
    return found


@pytest.mark.row("D2")
async def test_parts_that_go_straight_to_the_store_become_a_version(place: Place) -> None:
    alice = place.desk("alice")
    dataset = (await alice.create())["id"]
    upload = await begun(alice, dataset)
    at = f"/datasets/{dataset}/uploads/{upload['id']}"
    assert await put(alice, at, [2]) == [200]
    found = await alice.ok("GET", at)
    assert found["parts"] == [2], "a client that was killed asks what has arrived"
    assert found["arrived"][0]["etag"]
    problem = await alice.refused("POST", f"{at}/complete", 409, "upload_incomplete")
    assert problem["missing"] == [1]
    await alice.refused("PUT", f"{at}/parts/1", 409, "upload_is_direct", content=ARCHIVE[: 5 * MIB])
    await alice.refused("POST", f"{at}/links", 422, "bad_part_number", json={"numbers": [3]})
    await place.desk("bob").refused("POST", f"{at}/links", 404, "dataset_not_found", json={"numbers": [1]})
    assert await put(alice, at, [1]) == [200]
    first = await alice.ok("POST", f"{at}/complete", 202)
    assert (await alice.ok("POST", f"{at}/complete", 202))["id"] == first["id"]
    done = await alice.ended(first)
    assert (done["state"], done["sha256"]) == ("succeeded", hashlib.sha256(ARCHIVE).hexdigest()), done
    await place.tidied(f"datasets/{dataset}/uploads/")
    await alice.refused("POST", f"{at}/links", 409, "upload_closed", json={"numbers": [1]})


@pytest.mark.row("D2")
async def test_what_is_not_what_was_told_is_no_version(place: Place) -> None:
    alice = place.desk("alice")
    dataset = (await alice.create())["id"]
    upload = await begun(alice, dataset, sha256=hashlib.sha256(ARCHIVE).hexdigest())
    at = f"/datasets/{dataset}/uploads/{upload['id']}"
    damaged = ARCHIVE[:MIB] + b"?" + ARCHIVE[MIB + 1 :]
    assert await put(alice, at, content=damaged) == [200, 200]
    done = await alice.ended(await alice.ok("POST", f"{at}/complete", 202))
    assert (done["state"], done["code"]) == ("failed", "checksum_mismatch")
    assert (await alice.ok("GET", f"/datasets/{dataset}"))["state"] == "empty"


@pytest.mark.row("D2")
async def test_a_store_of_plain_files_says_that_it_takes_parts_here(open_place: Any) -> None:
    async with open_place() as place:
        alice = place.desk("alice")
        dataset = (await alice.create())["id"]
        upload = await alice.begin(dataset, ARCHIVE, direct=True)
        assert not upload["direct"]
        at = f"/datasets/{dataset}/uploads/{upload['id']}"
        await alice.refused("POST", f"{at}/links", 409, "upload_not_direct", json={"numbers": [1]})


@pytest.mark.row("D2")
async def test_what_is_abandoned_goes_also_after_the_store_was_away(
    opened: Opened, settings: S3Settings, swift: Swift
) -> None:
    """Given up by the clock while nobody reaches the store; with it back, nothing of it is left, nor of an upload that
    the store began and whose id nobody kept."""
    async with Proxy(swift.port) as proxy:
        between = replace(settings, endpoint=f"http://127.0.0.1:{proxy.port}", public=settings.endpoint, timeout=1.0)
        async with opened(between) as place:
            alice = place.desk("alice")
            dataset = (await alice.create())["id"]
            upload = await begun(alice, dataset)
            at = f"/datasets/{dataset}/uploads/{upload['id']}"
            assert await put(alice, at, [1]) == [200]
            late = (await alice.ok("POST", f"{at}/links", json={"numbers": [2]}))["items"][0]["url"]
            key, store = f"datasets/{dataset}/uploads/{upload['id']}", S3Files(settings)
            forgotten = await store.begin_direct(key)
            tidy = Tidy(place.context, lambda: ())
            async with place.context.store.work() as uow:
                long_ago = uow.clock.now() - timedelta(seconds=place.context.settings.upload_ttl + 1)
                await storage.note_activity(uow.connection, upload["id"], long_ago)
            proxy.black_hole()
            with pytest.raises(Unavailable):
                await tidy.round(None)
            assert (await alice.ok("GET", at))["state"] == "aborted"
            proxy.heal()
            proxy.cut()
            tidy.wanted = True
            await tidy.round(None)
            last = b"x" * (len(ARCHIVE) - 5 * MIB)
            async with aiohttp.ClientSession() as anybody, anybody.put(URL(late, encoded=True), data=last) as answer:
                assert answer.status == 404
            for one in (forgotten, (await stored(place, upload["id"])).handle):
                with pytest.raises(Exception, match="no upload"):
                    await store.direct_parts(key, one or "")
            await store.close()


async def stored(place: Place, upload: str) -> Any:
    async with place.context.store.reading() as connection:
        return await storage.UPLOADS.get(connection, upload)


@pytest.mark.row("D6")
async def test_a_file_is_had_by_a_link_that_gives_nothing_else(place: Place) -> None:
    alice = place.desk("alice")
    files = pictures()
    dataset = (await alice.filled(files))["id"]
    at, query = f"/datasets/{dataset}/samples/file", {"path": "cat/1.png", "link": "true"}
    told = await alice.ok("GET", at, params=query)
    assert (told["direct"], told["sha256"]) == (True, hashlib.sha256(files["cat/1.png"]).hexdigest())
    async with aiohttp.ClientSession() as anybody:
        link = URL(told["url"], encoded=True)
        async with anybody.get(link, headers=told["headers"]) as answer:
            assert await answer.read() == files["cat/1.png"]
            assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''1.png"
        async with anybody.get(link) as answer:
            assert answer.status == 403, "the pack holds other files too"
    await place.desk("bob").refused("GET", at, 404, "dataset_not_found", params=query)
    await alice.refused("GET", at, 404, "file_not_found", params=query | {"path": "cat/99.png"})


@pytest.mark.row("D6")
async def test_a_store_of_plain_files_names_the_address_here(open_place: Any) -> None:
    async with open_place() as place:
        alice = place.desk("alice")
        dataset = (await alice.filled())["id"]
        query = {"path": "cat/1.png", "version": 1, "link": "true"}
        told = await alice.ok("GET", f"/datasets/{dataset}/samples/file", params=query)
        assert (told["direct"], told["expires_at"], told["headers"]) == (False, None, {})
        plain = await alice.client.get(told["url"].removeprefix("/api/v1"))
        assert plain.content == pictures()["cat/1.png"]
