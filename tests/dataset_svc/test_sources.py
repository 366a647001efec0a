"""Data that lies elsewhere becomes a version, and its secrets stay secret (row D11)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from common.contracts.source import SourceOpening
from common.files.s3 import S3Files
from common.kernel.ids import new_id
from common.sources.shared import SharedSource
from dataset_svc.context import Context
from dataset_svc.domain.sources import Source
from dataset_svc.reconcile import fetching
from dataset_svc.storage import SOURCES
from tests.contracts.sources.test_impostors import PAGE, impostor, saying
from tests.dataset_svc.conftest import Desk, Open, pictures
from tests.servers.s3 import BUCKET, Rclone

CANARY = "canary-secret-7d1f"
ADDRESS = f"https://key:{CANARY}@s3.example/x"
FILES = pictures(cats=4, dogs=3)


def lying(root: Path, files: dict[str, bytes] = FILES) -> None:
    for path, data in files.items():
        (root / "pets" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "pets" / path).write_bytes(data)


async def described(desk: Desk, **connection: Any) -> dict[str, Any]:
    body = {"name": "宠物照片", "connection": {"type": "path", "root": "lab", **connection}}
    return await desk.ok("POST", "/sources", 201, json=body)


async def brought(desk: Desk, dataset: dict[str, Any], source: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"source_id": source["id"], **more}
    return await desk.ok("POST", f"/datasets/{dataset['id']}/imports", 202, json=body)


@pytest.mark.row("D11", "D12")
async def test_a_shared_path_is_imported_as_a_version(open_place: Open, tmp_path: Path) -> None:
    root = tmp_path / "lab"
    lying(root)
    async with open_place(shared_roots={"lab": root}) as place:
        alice = place.desk("alice")
        by_upload = await alice.filled(FILES)
        dataset = await alice.create()
        source = await described(alice)
        shown = await alice.ok("GET", f"/sources/{source['id']}/files", params={"prefix": "pets/cat"})
        assert [one["path"] for one in shown["items"]] == ["0.png", "1.png", "2.png", "3.png"]
        done = await alice.ended(await brought(alice, dataset, source, prefix="pets"))
        assert (done["state"], done["source_id"], done["prefix"]) == ("succeeded", source["id"], "pets")
        found = (await alice.ok("GET", f"/datasets/{dataset['id']}"))["current_version"]
        assert found["digest"] == by_upload["current_version"]["digest"], "the same files are the same version"
        again = await alice.ended(await brought(alice, dataset, source, prefix="pets"))
        assert again["unchanged"]
        await alice.ok("DELETE", f"/sources/{source['id']}", 204)
        await alice.refused("GET", f"/sources/{source['id']}", 404, "source_not_found")
        assert (await alice.ok("GET", f"/datasets/{dataset['id']}"))["current_version"] == found
        await place.tidied(f"datasets/{dataset['id']}/fetched/")


@pytest.mark.row("D11")
async def test_what_is_wrong_with_the_content_is_told_as_for_an_upload(open_place: Open, tmp_path: Path) -> None:
    root = tmp_path / "lab"
    lying(root, {"cat/1.png": FILES["cat/0.png"], "dog/broken.png": b"no picture"})
    async with open_place(shared_roots={"lab": root}) as place:
        alice = place.desk("alice")
        dataset = await alice.create()
        source = await described(alice, prefix="pets")
        done = await alice.ended(await brought(alice, dataset, source))
        assert done["state"] == "failed"
        assert "dog/broken.png" in done["reason"]
        missing = await alice.ended(await brought(alice, dataset, source, prefix="nowhere"))
        assert (missing["state"], missing["code"]) == ("failed", "source_refused")
        assert (await alice.ok("GET", f"/datasets/{dataset['id']}"))["state"] == "empty"


@pytest.mark.row("D11")
async def test_an_s3_source_is_fetched_and_its_secrets_are_told_to_nobody(
    open_place: Open, rclone: Rclone, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    prefix = new_id("src")
    files = S3Files(rclone.settings(f"{prefix}/"))
    for path, data in FILES.items():
        await files.put(path, data)
    await files.close()
    connection = {"type": "s3", "endpoint_url": f"http://127.0.0.1:{rclone.port}", "bucket": BUCKET}
    body: dict[str, Any] = {"name": "bucket", "connection": {**connection, "prefix": f"{prefix}/objects"}}
    async with open_place(source_networks=("127.0.0.0/8",)) as place:
        alice = place.desk("alice")
        wrong = {"access_key_id": rclone.key, "secret_access_key": CANARY}
        source = await alice.ok("POST", "/sources", 201, json={**body, "credentials": wrong})
        assert sorted(source["credentials"]) == ["access_key_id", "secret_access_key"]
        problem = await alice.refused("GET", f"/sources/{source['id']}/files", 422, "source_refused")
        dataset = await alice.create()
        failed = await alice.ended(await brought(alice, dataset, source))
        assert failed["code"] == "source_refused"
        told = [problem, failed, await place.events(dataset["id"]), await alice.ok("GET", "/sources")]
        assert CANARY not in str(told)
        right = {"credentials": {"access_key_id": rclone.key, "secret_access_key": rclone.secret}}
        await alice.ok("PUT", f"/sources/{source['id']}/credentials", json=right)
        done = await alice.ended(await brought(alice, dataset, source))
        assert done["state"] == "succeeded", done
    everywhere = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert CANARY.encode() not in everywhere
    said = capfd.readouterr()
    assert CANARY not in said.out + said.err


@pytest.mark.row("D11")
async def test_only_services_are_told_how_to_read_a_source(open_place: Open, tmp_path: Path) -> None:
    connection = {"type": "s3", "endpoint_url": "http://s3.example", "bucket": "b", "prefix": "p"}
    credentials = {"access_key_id": "k", "secret_access_key": CANARY}
    async with open_place(source_networks=("10.1.0.0/16",)) as place:
        alice = place.desk("alice")
        body = {"name": "bucket", "connection": connection, "credentials": credentials}
        source = await alice.ok("POST", "/sources", 201, json=body)
        asked = {"workload": "att-1"}
        for who in ("alice", "admin"):
            desk = place.desk(who)
            await desk.refused("POST", f"/sources/{source['id']}/opening", 403, "service_only", json=asked)
            await desk.refused("GET", f"/sources/{source['id']}/facts", 403, "service_only")
        train = place.desk("train-svc")
        facts = await train.ok("GET", f"/sources/{source['id']}/facts")
        assert (facts["owner"], facts["kind"], facts["root"], facts["prefix"]) == ("alice", "s3", None, "p")
        assert CANARY not in str(facts)
        opening = await train.ok("POST", f"/sources/{source['id']}/opening", json=asked)
        assert opening["secrets"] == credentials
        assert opening["networks"] == ["10.1.0.0/16"]
        assert CANARY not in repr(SourceOpening.model_validate(opening))
        await train.refused("POST", "/sources/src-none/opening", 404, "source_not_found", json=asked)


@pytest.mark.row("D11")
async def test_an_address_inside_the_platform_is_refused(open_place: Open) -> None:
    connection = {"type": "s3", "endpoint_url": "http://169.254.169.254", "bucket": "b"}
    credentials = {"access_key_id": "k", "secret_access_key": CANARY}
    async with open_place() as place:
        alice = place.desk("alice")
        body = {"name": "inside", "connection": connection, "credentials": credentials}
        source = await alice.ok("POST", "/sources", 201, json=body)
        await alice.refused("GET", f"/sources/{source['id']}/files", 422, "address_refused")
        failed = await alice.ended(await brought(alice, await alice.create(), source))
        assert failed["code"] == "address_refused"


@pytest.mark.row("D11")
async def test_a_fetch_that_was_killed_is_begun_again(open_place: Open, tmp_path: Path) -> None:
    root = tmp_path / "lab"
    lying(root)
    async with open_place(shared_roots={"lab": root}) as place:
        alice = place.desk("alice")
        dataset = await alice.create()
        item = await brought(alice, dataset, await described(alice, prefix="pets"))
    async with open_place(shared_roots={"lab": root}) as place:
        assert (await place.desk("alice").ended(item))["state"] == "succeeded"
        assert not list(place.context.scratch.glob("*/fetched.zip"))


@pytest.mark.row("D11")
async def test_a_source_in_use_stays_until_its_imports_have_ended(
    open_place: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "lab"
    lying(root)
    gate = asyncio.Event()
    real = fetching._Fetch.into

    async def into(*told: Any) -> None:
        await gate.wait()
        await real(*told)

    monkeypatch.setattr(fetching._Fetch, "into", into)
    async with open_place(shared_roots={"lab": root}, imports_at_once=1) as place:
        alice = place.desk("alice")
        source = await described(alice, prefix="pets")
        dataset = await alice.create()
        items = [await brought(alice, dataset, source) for _ in range(3)]
        problem = await alice.refused("DELETE", f"/sources/{source['id']}", 409, "source_in_use")
        assert sorted(problem["imports"]) == sorted(item["id"] for item in items)
        gate.set()
        ended = [await alice.ended(item) for item in items]
        assert [item["state"] for item in ended] == ["succeeded"] * 3
        await alice.ok("DELETE", f"/sources/{source['id']}", 204)
        await alice.refused("GET", f"/sources/{source['id']}", 404, "source_not_found")


@pytest.mark.row("D11")
async def test_an_idempotency_key_is_of_one_dataset(open_place: Open, tmp_path: Path) -> None:
    root = tmp_path / "lab"
    lying(root)
    async with open_place(shared_roots={"lab": root}) as place:
        alice = place.desk("alice")
        source = await described(alice, prefix="pets")
        first, other = await alice.create(), await alice.create(name="others")
        how: dict[str, Any] = {"json": {"source_id": source["id"]}, "headers": {"Idempotency-Key": "k"}}
        item = await alice.ok("POST", f"/datasets/{first['id']}/imports", 202, **how)
        assert await alice.ok("POST", f"/datasets/{first['id']}/imports", 202, **how) == item
        await alice.refused("POST", f"/datasets/{other['id']}/imports", 422, "idempotency_key_reused", **how)
        assert (await alice.ended(item))["state"] == "succeeded"


@pytest.mark.row("D11")
async def test_names_in_gbk_become_a_version(open_place: Open, tmp_path: Path) -> None:
    root = tmp_path / "lab"
    lying(root, {"猫/1.png": FILES["cat/0.png"]})
    folder = os.path.join(os.fsencode(root), b"pets", "狗狗".encode("gb18030"))
    os.mkdir(folder)
    Path(os.fsdecode(folder), os.fsdecode("大图.png".encode("gb18030"))).write_bytes(FILES["dog/0.png"])
    async with open_place(shared_roots={"lab": root}) as place:
        alice = place.desk("alice")
        source = await described(alice, prefix="pets")
        shown = await alice.ok("GET", f"/sources/{source['id']}/files")
        assert {one["path"] for one in shown["items"]} == {"猫/1.png", "狗狗/大图.png"}
        done = await alice.ended(await brought(alice, await alice.create(), source))
        assert done["state"] == "succeeded", done


@pytest.mark.row("D11")
async def test_what_is_no_source_is_refused_and_no_fault_of_the_platform(open_place: Open) -> None:
    connection = {"type": "swift", "container": "c"}
    credentials = {"user_name": "u", "password": CANARY}
    async with impostor(saying(PAGE)) as at, open_place(source_networks=("127.0.0.0/8",)) as place:
        alice = place.desk("alice")
        body = {"name": "web", "connection": connection | {"auth_url": at}, "credentials": credentials}
        source = await alice.ok("POST", "/sources", 201, json=body)
        problem = await alice.refused("GET", f"/sources/{source['id']}/files", 422, "source_refused")
        assert "X-Storage-Url" in problem["detail"]
        failed = await alice.ended(await brought(alice, await alice.create(), source))
        assert failed["code"] == "source_refused"


@pytest.mark.row("D11")
@pytest.mark.parametrize(
    ("connection", "names"),
    [
        ({"type": "s3", "endpoint_url": ADDRESS, "bucket": "b"}, ("access_key_id", "secret_access_key")),
        ({"type": "swift", "auth_url": ADDRESS, "container": "c"}, ("user_name", "password")),
    ],
)
async def test_a_password_in_an_address_is_refused_and_never_shown(
    open_place: Open, connection: dict[str, Any], names: tuple[str, str]
) -> None:
    body = {"name": "x", "connection": connection, "credentials": dict.fromkeys(names, "x")}
    async with open_place() as place:
        alice = place.desk("alice")
        problem = await alice.refused("POST", "/sources", 422, "invalid_source", json=body)
        assert problem["faults"][0]["where"] in ("connection.endpoint_url", "connection.auth_url")
        stored = await _stored_before(place.context, connection, names)
        shown = [await alice.ok("GET", f"/sources/{stored.id}"), await alice.ok("GET", "/sources")]
        new = {"credentials": dict.fromkeys(names, "y")}
        shown.append(await alice.ok("PUT", f"/sources/{stored.id}/credentials", json=new))
        shown.append(await alice.refused("GET", f"/sources/{stored.id}/files", 422, "address_refused"))
        assert "https://***@s3.example/x" in str(shown[0])
        assert CANARY not in str([problem, *shown])


async def _stored_before(context: Context, connection: dict[str, Any], names: tuple[str, str]) -> Source:
    """A source as it was stored when addresses could have passwords in them."""
    sealed = context.secrets.seal(dict.fromkeys(names, "x"))
    async with context.store.work(actor="alice") as uow:
        now = uow.clock.now()
        source = Source(new_id("src"), "x", "alice", connection, now, now, sealed, names)
        await SOURCES.add(uow.connection, source)
    return source


@pytest.mark.row("D11")
async def test_who_looks_into_a_source_that_gives_no_list_is_told_in_time(
    open_place: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = asyncio.Event()

    async def never(_: Any) -> AsyncGenerator[Any, None]:
        try:
            await asyncio.sleep(60)
            yield
        finally:
            closed.set()

    monkeypatch.setattr(SharedSource, "files", never)
    monkeypatch.setattr("dataset_svc.usecases.sources.LOOK_SECONDS", 1)
    async with open_place(shared_roots={"lab": tmp_path}) as place:
        alice = place.desk("alice")
        source = await described(alice)
        problem = await alice.refused("GET", f"/sources/{source['id']}/files", 503, "source_unavailable")
        assert "gave no list within 1 seconds" in problem["detail"]
        assert closed.is_set()


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (
            {"connection": {"type": "s3", "endpoint_url": "http://s3.example", "bucket": "b"}},
            "credentials.access_key_id",
        ),
        ({"connection": {"type": "path", "root": "lab"}, "credentials": {"password": "x"}}, "credentials.password"),
        ({"connection": {"type": "path", "root": "lab"}, "name": ""}, "name"),
        ({"connection": {"type": "ftp", "root": "lab"}}, "connection"),
        ({"connection": {"type": "swift", "auth_url": "http://x"}}, "container"),
    ],
)
async def test_a_bad_description_is_refused(alice: Desk, body: dict[str, Any], where: str) -> None:
    answer = await alice.client.post("/sources", json={"name": "x", **body})
    assert answer.status_code == 422
    assert any(where in fault["where"] for fault in answer.json()["faults"]), answer.text
    assert not (await alice.ok("GET", "/sources"))["items"]


async def test_a_source_is_its_owner_s_alone(open_place: Open, tmp_path: Path) -> None:
    async with open_place(shared_roots={"lab": tmp_path}) as place:
        alice, bob = place.desk("alice"), place.desk("bob")
        source = await described(alice)
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/files")):
            await bob.refused(method, f"/sources/{source['id']}{path}", 404, "source_not_found")
        mine = await bob.create()
        body = {"source_id": source["id"]}
        await bob.refused("POST", f"/datasets/{mine['id']}/imports", 404, "source_not_found", json=body)
