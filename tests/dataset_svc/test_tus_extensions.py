"""What of TUS is spoken beyond its core, and what every answer says (row D2)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from tempfile import SpooledTemporaryFile
from typing import Any

import pytest

from common.kernel.errors import StorageFull
from dataset_svc import storage
from dataset_svc.usecases import tus as tus_uploads
from tests.dataset_svc.conftest import SMALL_PARTS, Desk, Place
from tests.dataset_svc.test_tus import (
    ARCHIVE,
    HEADERS,
    PIECE,
    announced,
    cut_off,
    imported_once,
    is_gone,
    metadata,
    offset,
    send,
)
from tests.dataset_svc.test_uploads_api import nothing_to_tidy


def summed(data: bytes, algorithm: str = "sha256") -> dict[str, str]:
    return {"Upload-Checksum": f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"}


@pytest.mark.row("D2")
async def test_bytes_that_differ_from_their_checksum_are_not_kept(place: Place, alice: Desk) -> None:
    dataset = await alice.create()
    at = await announced(alice, dataset)

    async def sent(start: int, data: bytes, headers: Mapping[str, Any]) -> Any:
        named = {**PIECE, "Upload-Offset": str(start), **headers}
        return await alice.client.patch(at, headers=named, content=data)

    much = 2 * SMALL_PARTS + 100
    assert (await sent(0, ARCHIVE[:much], summed(ARCHIVE[:much], "sha1"))).status_code == 204
    before = await place.keys()
    answer = await sent(much, ARCHIVE[much:-9], summed(b"other"))
    assert (answer.status_code, answer.json()["code"]) == (460, "checksum_mismatch")
    await cut_off(place, alice, at, much, ARCHIVE[much:-9], **summed(ARCHIVE[much:-9]))
    answer = await sent(much, ARCHIVE, summed(ARCHIVE))
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_bytes")
    assert (await offset(alice, at), await place.keys()) == (much, before)
    for wrong in ("md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha256 1B2M2Y8A", "sha1", "sha1 !", "sha1 é", "é 1B2M2Y8A"):
        answer = await sent(much, b"x", {"Upload-Checksum": wrong.encode("latin-1")})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_checksum")
    assert (await sent(much, ARCHIVE[much:], summed(ARCHIVE[much:]))).status_code == 204
    [item] = (await alice.ok("GET", f"/datasets/{dataset['id']}/imports"))["items"]
    assert (await alice.ended(item))["state"] == "succeeded"


@pytest.mark.row("D2")
async def test_what_waits_to_be_checked_goes_when_the_bytes_can_not_be_kept(
    alice: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = await announced(alice, await alice.create())
    waiting: list[SpooledTemporaryFile[bytes]] = []
    full = StorageFull("storage_full", "No room.")  # keeps what was under way, so that nothing closes it by chance

    class Watched(SpooledTemporaryFile[bytes]):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            waiting.append(self)

    async def put_part(*args: Any, **more: Any) -> None:
        raise full

    monkeypatch.setattr(tus_uploads, "SpooledTemporaryFile", Watched)
    monkeypatch.setattr(tus_uploads, "put_part", put_part)
    headers = PIECE | {"Upload-Offset": "0"} | summed(ARCHIVE)
    await alice.refused("PATCH", at, 507, "storage_full", headers=headers, content=ARCHIVE)
    assert [file.closed for file in waiting] == [True]


@pytest.mark.row("D2")
async def test_it_is_told_when_an_upload_expires(place: Place, alice: Desk) -> None:
    dataset = await alice.create()
    headers = HEADERS | {"Upload-Length": "9", "Upload-Metadata": metadata(filename="宠物.zip", part="train")}
    begun = await alice.client.post(f"/datasets/{dataset['id']}/tus", headers=headers)
    at = begun.headers["location"].removeprefix("/api/v1")
    standing = await alice.client.head(at, headers=HEADERS)
    after = await send(alice, at, 0, b"12345")
    ttl = timedelta(seconds=place.context.settings.upload_ttl)
    for answer in (begun, standing, after):
        told = parsedate_to_datetime(answer.headers["upload-expires"])
        assert abs(told - place.context.store.clock.now() - ttl) < timedelta(minutes=1)
        assert answer.headers["upload-expires"].endswith(" GMT")
    assert standing.headers["upload-metadata"] == headers["Upload-Metadata"]
    large = HEADERS | {"Upload-Length": str(place.context.settings.upload_bytes + 1)}
    await alice.refused("POST", f"/datasets/{dataset['id']}/tus", 413, "upload_too_large", headers=large)


@pytest.mark.row("D2")
async def test_a_client_without_patch_sends_post(alice: Desk) -> None:
    dataset = await alice.create()
    at = await announced(alice, dataset)

    async def meant(method: str, **more: str) -> Any:
        headers = PIECE | {"X-HTTP-Method-Override": method} | more
        return await alice.client.post(at, headers=headers, content=ARCHIVE[:5] if method == "PATCH" else b"")

    answer = await meant("PATCH", **{"Upload-Offset": "0"})
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, "5")
    assert (await meant("head")).headers["upload-offset"] == "5"
    assert (await meant("GET")).status_code == 405
    harmless = await alice.client.get(at, headers=HEADERS | {"X-HTTP-Method-Override": "DELETE"})
    assert harmless.status_code == 405
    assert await offset(alice, at) == 5
    assert (await meant("DELETE")).status_code == 204
    await is_gone(alice, at)


async def test_every_answer_says_what_is_spoken(alice: Desk) -> None:
    dataset = await alice.create()
    where = f"/datasets/{dataset['id']}/tus"
    for headers in ({}, {"Tus-Resumable": "0.2.2"}):
        answer = await alice.client.post(where, headers=headers | {"Upload-Length": "9"})
        assert (answer.status_code, answer.headers["tus-version"]) == (412, "1.0.0")
    for headers in ({"Upload-Length": "nine"}, {"Upload-Length": "-1"}, {"Upload-Defer-Length": "1"}):
        answer = await alice.client.post(where, headers=HEADERS | headers)
        assert (answer.status_code, answer.headers["tus-resumable"]) == (422, "1.0.0")
    for wrong in (b"filename YQ==,filename Yg==", b"filename \xe9", b"filename 6Q==", b"part \xe9", b"sha256 \xe9"):
        bad = HEADERS | {"Upload-Length": "9", "Upload-Metadata": wrong}
        await alice.refused("POST", where, 422, "invalid_upload", headers=bad)


@pytest.mark.parametrize("wrong", ["+5", "5_0", "5.0", "-0", "-5", "0x5", "\xb2", "١٢", "", "9" * 5000])
async def test_a_number_is_written_in_digits_alone(alice: Desk, wrong: str) -> None:
    dataset = await alice.create()
    at = await announced(alice, dataset)
    headers = {"Upload-Length": wrong.encode(), "Upload-Offset": wrong.encode()}
    where = f"/datasets/{dataset['id']}/tus"
    await alice.refused("POST", where, 422, "invalid_request", headers=HEADERS | headers)
    await alice.refused("PATCH", at, 422, "invalid_request", headers=PIECE | headers, content=b"x")
    large = HEADERS | {"Upload-Length": "9" * 30}
    await alice.refused("POST", where, 413, "upload_too_large", headers=large)
    assert await offset(alice, at) == 0


def before_the_tail(place: Place, monkeypatch: pytest.MonkeyPatch, deed: Callable[[], Awaitable[None]]) -> None:
    """This is done when the store has the first tail in hands and not yet put."""
    files, put = place.context.files, place.context.files.put

    async def late(key: str, *args: Any, **more: Any) -> Any:
        if ".tail/" in key:
            monkeypatch.setattr(files, "put", put)
            await deed()
        return await put(key, *args, **more)

    monkeypatch.setattr(files, "put", late)


@pytest.mark.row("D2")
async def test_a_tail_that_comes_after_the_upload_was_terminated_does_not_stay(
    place: Place, alice: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = await announced(alice, await alice.create())

    async def terminated() -> None:
        assert (await alice.client.delete(at, headers=HEADERS)).status_code == 204
        await nothing_to_tidy(place, storage.aborted_uploads_with_files)

    before_the_tail(place, monkeypatch, terminated)
    assert (await send(alice, at, 0, ARCHIVE[: SMALL_PARTS + 500])).status_code == 410
    assert await place.keys() == []


@pytest.mark.row("D2")
async def test_a_tail_that_comes_after_another_request_completed_the_upload_does_not_stay(
    place: Place, alice: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await alice.create()
    at = await announced(alice, dataset)

    async def completed() -> None:
        assert (await send(alice, at, SMALL_PARTS, ARCHIVE[SMALL_PARTS:])).status_code == 204
        await imported_once(alice, dataset)
        await nothing_to_tidy(place, storage.ended_imports_with_files)

    before_the_tail(place, monkeypatch, completed)
    answer = await send(alice, at, 0, ARCHIVE[: SMALL_PARTS + 500])
    assert answer.headers["upload-offset"] == str(len(ARCHIVE))
    assert not [key for key in await place.keys() if ".tail/" in key]
