"""Uploads by the TUS protocol: a stock client, pieces of any size, interruptions anywhere (row D2)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from common.kernel.errors import Unavailable
from common.ports.files import Part
from dataset_svc import storage
from dataset_svc.reconcile import Tidy
from dataset_svc.usecases import tus as tus_uploads
from dataset_svc.usecases import uploads
from tests.dataset_svc.conftest import SMALL_PARTS, Desk, Open, Place, pictures, zipped

ARCHIVE = zipped(pictures(cats=20, dogs=20))
HEADERS = {"Tus-Resumable": "1.0.0"}
PIECE = HEADERS | {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """The archive as a file."""
    file = tmp_path / "pets.zip"
    file.write_bytes(ARCHIVE)
    return file


def metadata(**values: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


async def announced(desk: Desk, dataset: dict[str, Any], content: bytes = ARCHIVE, **more: str) -> str:
    headers = HEADERS | {"Upload-Length": str(len(content)), "Upload-Metadata": metadata(filename="宠物.zip", **more)}
    answer = await desk.client.post(f"/datasets/{dataset['id']}/tus", headers=headers)
    assert answer.status_code == 201, answer.text
    location: str = answer.headers["location"]
    return location.removeprefix("/api/v1")


async def offset(desk: Desk, at: str) -> int:
    answer = await desk.client.head(at, headers=HEADERS)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


async def send(desk: Desk, at: str, start: int, data: Any) -> Any:
    return await desk.client.patch(at, headers=PIECE | {"Upload-Offset": str(start)}, content=data)


@pytest.mark.row("D2")
@pytest.mark.parametrize("piece", [700, SMALL_PARTS, 2500, len(ARCHIVE)])
async def test_pieces_of_any_size_become_an_import(place: Place, alice: Desk, piece: int) -> None:
    dataset = await alice.create()
    at = await announced(alice, dataset, sha256=hashlib.sha256(ARCHIVE).hexdigest())
    for start in range(0, len(ARCHIVE), piece):
        assert await offset(alice, at) == start
        answer = await send(alice, at, start, ARCHIVE[start : start + piece])
        assert answer.status_code == 204, answer.text
        assert int(answer.headers["upload-offset"]) == min(start + piece, len(ARCHIVE))
    upload = await alice.ok("GET", f"/datasets/{dataset['id']}/uploads/{at.rpartition('/')[2]}")
    done = await alice.ended({"dataset_id": dataset["id"], "id": upload["import_id"]})
    assert done["state"] == "succeeded", done
    assert not [key for key in await place.keys() if ".tail/" in key]


@pytest.mark.row("D2")
async def test_a_client_that_goes_away_loses_nothing(open_place: Open) -> None:
    """Cut off at a hundred random places, each time with a restart now and then."""
    dice, at, reached = random.Random(7), "", 0
    dataset: dict[str, Any] = {}
    while reached < len(ARCHIVE):
        async with open_place() as place:
            alice = place.desk("alice")
            dataset = dataset or await alice.create()
            at = at or await announced(alice, dataset)
            for _ in range(20):
                if (start := await offset(alice, at)) >= len(ARCHIVE):
                    break
                assert start == reached
                some = ARCHIVE[start : start + dice.randint(1, 1500)]
                await cut_off(place, alice, at, start, some)
                reached = start + len(some)
    async with open_place() as place:
        upload = await place.desk("alice").ok("GET", f"/datasets/{dataset['id']}/uploads/{at.rpartition('/')[2]}")
        done = await place.desk("alice").ended({"dataset_id": dataset["id"], "id": upload["import_id"]})
        assert done["state"] == "succeeded", done


async def cut_off(place: Place, desk: Desk, at: str, start: int, data: bytes, **more: str) -> None:
    """A PATCH whose connection breaks after these bytes, before the end that it announced."""
    last = start + len(data) == len(ARCHIVE)
    messages = [{"type": "http.request", "body": data, "more_body": not last}, {"type": "http.disconnect"}]
    named = PIECE | {"Upload-Offset": str(start)} | more | dict(desk.client.headers)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "PATCH",
        "scheme": "http",
        "path": f"/api/v1{at}",
        "raw_path": f"/api/v1{at}".encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 1),
        "server": ("house", 80),
        "state": {},
    }

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def answered(message: Any) -> None:
        """Nobody listens any more."""

    await place.house.service("dataset-svc").app(scope, receive, answered)


@pytest.mark.row("D2")
async def test_a_stock_client_uploads_over_a_real_socket(place: Place, alice: Desk, pets: Path) -> None:
    dataset = await alice.create()
    async with stock_client(place, alice, dataset) as client:
        await asyncio.to_thread(upload, client, pets, metadata={"filename": "pets.zip"})
    await imported_once(alice, dataset)


@asynccontextmanager
async def stock_client(place: Place, desk: Desk, dataset: dict[str, Any]) -> AsyncIterator[TusClient]:
    """One that others wrote, over a real socket."""
    async with served(place) as address:
        headers = {"Authorization": desk.client.headers["Authorization"]}
        yield TusClient(f"{address}/api/v1/datasets/{dataset['id']}/tus", headers=headers)


def upload(client: TusClient, file: Path, **more: Any) -> None:
    """All of a file, in small pieces."""
    with file.open("rb") as stream:
        client.uploader(file_stream=stream, chunk_size=3000, **more).upload()


async def imports(desk: Desk, dataset: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await desk.ok("GET", f"/datasets/{dataset['id']}/imports"))["items"]
    return found


async def imported_once(desk: Desk, dataset: dict[str, Any]) -> None:
    [item] = await imports(desk, dataset)
    assert (await desk.ended(item))["state"] == "succeeded"


class served:
    """The service behind a socket of its own."""

    def __init__(self, place: Place) -> None:
        app = place.house.service("dataset-svc").app
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_level="error"))

    async def __aenter__(self) -> str:
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.005)
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        await self._task


async def test_what_a_client_gets_wrong_changes_nothing(place: Place, alice: Desk) -> None:
    dataset = await alice.create()
    at = await announced(alice, dataset)
    await alice.refused("PATCH", at, 409, "wrong_offset", headers=PIECE | {"Upload-Offset": "5"}, content=b"x")
    await alice.refused("PATCH", at, 400, "no_offset", headers=PIECE, content=b"x")
    other_type = HEADERS | {"Upload-Offset": "0"}
    await alice.refused("PATCH", at, 415, "bad_content_type", headers=other_type, content=b"x")
    await alice.refused("PATCH", at, 412, "bad_tus_version", headers={"Upload-Offset": "0"}, content=b"x")
    much = ARCHIVE + b"x"
    await alice.refused("PATCH", at, 422, "too_many_bytes", headers=PIECE | {"Upload-Offset": "0"}, content=much)
    where = f"/datasets/{dataset['id']}/tus"
    await alice.refused("POST", where, 422, "invalid_upload", headers=HEADERS)
    bad = HEADERS | {"Upload-Length": "9", "Upload-Metadata": "filename !!!"}
    await alice.refused("POST", where, 422, "invalid_upload", headers=bad)
    await place.desk("bob").refused("POST", where, 404, "dataset_not_found", headers=HEADERS | {"Upload-Length": "9"})
    assert (await alice.client.head(f"{where}/up-nobody", headers=HEADERS)).status_code == 404


def killed_once(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    """The step fails the first time that it is come to; what was done before it stays, as with a kill."""
    real, calls = getattr(module, name), iter([True])

    async def step(*args: Any, **more: Any) -> Any:
        if next(calls, False):
            raise Unavailable("killed", "The service was killed here.")
        return await real(*args, **more)

    monkeypatch.setattr(module, name, step)


KILLED = pytest.mark.parametrize(("module", "name"), [(tus_uploads, "complete_upload"), (uploads, "_queue")])
"""Between the last part and the archive, and between the archive and its import."""


@pytest.mark.row("D2")
@KILLED
@pytest.mark.parametrize("ask", ["HEAD", "PATCH"])
async def test_killed_after_the_last_byte_it_becomes_an_import_when_the_client_asks(
    alice: Desk, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, ask: str
) -> None:
    dataset = await alice.create()
    at = await announced(alice, dataset, sha256=hashlib.sha256(ARCHIVE).hexdigest())
    killed_once(monkeypatch, module, name)
    assert (await send(alice, at, 0, ARCHIVE)).status_code == 503
    if ask == "HEAD":
        assert await offset(alice, at) == len(ARCHIVE)
        [_] = await imports(alice, dataset)
    for _ in range(2):
        assert (await send(alice, at, len(ARCHIVE), b"")).headers["upload-offset"] == str(len(ARCHIVE))
        assert await offset(alice, at) == len(ARCHIVE)
    await imported_once(alice, dataset)
    more = PIECE | {"Upload-Offset": str(len(ARCHIVE))}
    await alice.refused("PATCH", at, 422, "too_many_bytes", headers=more, content=b"x")


@pytest.mark.row("D2")
async def test_killed_while_the_parts_of_a_finished_archive_went_it_is_whole(
    place: Place, alice: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await alice.create()
    at = await announced(alice, dataset)
    killed_once(monkeypatch, uploads, "_queue")
    assert (await send(alice, at, 0, ARCHIVE)).status_code == 503

    async def left(upload: str) -> list[Part]:
        return [Part(1, SMALL_PARTS, "")]

    monkeypatch.setattr(place.context.files, "parts", left)
    assert await offset(alice, at) == len(ARCHIVE)
    [_] = await imports(alice, dataset)


@pytest.mark.row("D2")
@KILLED
async def test_a_stock_client_goes_on_where_the_service_was_killed(
    place: Place, alice: Desk, pets: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    dataset = await alice.create()
    killed_once(monkeypatch, module, name)
    async with stock_client(place, alice, dataset) as client:
        await asyncio.to_thread(upload, client, pets, retries=1, retry_delay=0)
    await imported_once(alice, dataset)


@pytest.mark.row("D2")
async def test_a_wrong_checksum_makes_no_import_and_the_client_begins_anew(place: Place, alice: Desk) -> None:
    dataset = await alice.create()
    at = await announced(alice, dataset, sha256="0" * 64)
    answer = await send(alice, at, 0, ARCHIVE)
    assert (answer.status_code, answer.json()["code"]) == (422, "checksum_mismatch")
    told_to_begin_anew(answer.json()["detail"], at)
    await is_gone(alice, at)
    assert not await imports(alice, dataset)
    await place.tidied("datasets/")


def told_to_begin_anew(detail: str, at: str) -> None:
    """In the words of the client, who knows no key of ours and can't send anything again."""
    assert detail.startswith(f"宠物.zip arrived with SHA-256 {hashlib.sha256(ARCHIVE).hexdigest()} instead of 000")
    assert detail.endswith(f"The upload {at.rpartition('/')[2]} is given up: begin anew.")
    assert "again" not in detail
    assert "datasets/" not in detail


@pytest.mark.row("D2")
async def test_killed_before_a_wrong_checksum_was_told_it_is_told_then(
    alice: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await alice.create()
    at = await announced(alice, dataset, sha256="0" * 64)
    killed_once(monkeypatch, tus_uploads, "complete_upload")
    assert (await send(alice, at, 0, ARCHIVE)).status_code == 503
    end = PIECE | {"Upload-Offset": str(len(ARCHIVE))}
    problem = await alice.refused("PATCH", at, 410, "upload_gone", headers=end)
    assert hashlib.sha256(ARCHIVE).hexdigest() in problem["detail"]
    told_to_begin_anew(problem["detail"], at)
    await is_gone(alice, at)
    assert not await imports(alice, dataset)


async def test_terminated_it_leaves_nothing(place: Place, alice: Desk) -> None:
    dataset = await alice.create()
    at = await announced(alice, dataset)
    assert (await send(alice, at, 0, ARCHIVE[:1234])).status_code == 204
    assert [key for key in await place.keys() if ".tail/" in key]
    assert (await alice.client.delete(at, headers=HEADERS)).status_code == 204
    await place.tidied("datasets/")
    answer = await alice.client.options(f"/datasets/{dataset['id']}/tus")
    told = {"creation", "termination", "expiration", "checksum"}
    assert (answer.headers["tus-version"], set(answer.headers["tus-extension"].split(","))) == ("1.0.0", told)
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"


@pytest.mark.row("D2")
async def test_small_pieces_keep_it_alive_and_their_beginning_goes_when_nothing_more_comes(place: Place) -> None:
    alice = place.desk("alice")
    dataset = await alice.create()
    at = await announced(alice, dataset)
    id, tidy = at.rpartition("/")[2], Tidy(place.context, lambda: ())

    async def silent() -> None:
        async with place.context.store.work() as uow:
            before = uow.clock.now() - timedelta(seconds=place.context.settings.upload_ttl + 1)
            await storage.note_activity(uow.connection, id, before)

    await silent()
    assert (await send(alice, at, 0, ARCHIVE[:10])).status_code == 204
    assert await tidy.expire_uploads() == 0
    await silent()
    await tidy.round(None)
    assert not await place.keys("datasets/")
    assert (await alice.ok("GET", f"/datasets/{dataset['id']}/uploads/{id}"))["state"] == "aborted"
    await is_gone(alice, at)


async def is_gone(desk: Desk, at: str) -> None:
    """A client that asks begins anew: it is told no offset from which it could go on."""
    answer = await desk.client.head(at, headers=HEADERS)
    assert (answer.status_code, "upload-offset" in answer.headers) == (410, False)
    problem = await desk.refused("PATCH", at, 410, "upload_gone", headers=PIECE | {"Upload-Offset": "0"}, content=b"x")
    assert "Begin anew" in problem["detail"]


@pytest.mark.row("D2")
async def test_what_was_given_up_is_gone_and_a_stock_client_begins_anew(place: Place, alice: Desk, pets: Path) -> None:
    dataset = await alice.create()
    at = await announced(alice, dataset)
    assert (await alice.client.delete(at, headers=HEADERS)).status_code == 204
    await is_gone(alice, at)
    async with stock_client(place, alice, dataset) as client:
        gone = f"{client.url}/{at.rpartition('/')[2]}"
        with pytest.raises(TusCommunicationError, match="410"):
            await asyncio.to_thread(upload, client, pets, url=gone)
        await asyncio.to_thread(upload, client, pets, upload_checksum=True)
    await imported_once(alice, dataset)
