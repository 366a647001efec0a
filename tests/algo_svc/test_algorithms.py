"""Registering, completing, changing, sharing and deleting algorithms, over HTTP."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import httpx2
import pytest

from tests.algo_svc.support import algorithm, events, payloads
from tests.support.platform import House


async def registered(client: httpx2.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/algorithms", json=algorithm(**changes))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def complete(client: httpx2.AsyncClient, package: bytes, **changes: Any) -> dict[str, Any]:
    one = await registered(client, **changes)
    for part in ("training", "inference"):
        answer = await client.put(f"/algorithms/{one['id']}/code/{part}", content=package)
        assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.row("A1", "A2", "A3")
async def test_from_a_registration_to_online(house: House, package: bytes) -> None:
    alice = house.client("algo-svc")
    one = await registered(alice)
    assert one["state"] == "draft"
    assert {fault["where"] for fault in one["missing"]} == {"training.code", "inference.code"}
    assert one["inference"]["resources"]["memory"] == 512 << 20
    refused = await alice.post(f"/algorithms/{one['id']}/online")
    assert (refused.status_code, refused.json()["code"]) == (409, "algorithm_incomplete")

    after = (await alice.put(f"/algorithms/{one['id']}/code/training", content=package)).json()
    assert after["training_code"] == {"digest": after["training_code"]["digest"], "files": 2, "bytes": 21}
    assert (after["state"], after["revision"], after["version"]) == ("draft", 2, 2)
    after = (await alice.put(f"/algorithms/{one['id']}/code/inference", content=package)).json()
    assert (after["state"], after["revision"], after["missing"]) == ("ready", 3, [])

    online = (await alice.post(f"/algorithms/{one['id']}/online")).json()
    assert (online["state"], online["online"], online["revision"]) == ("online", True, 3)
    assert ("algorithm.online", one["id"]) in await events(house)
    [told] = [data for data in await payloads(house, "algorithm.online") if data["id"] == one["id"]]
    assert told["training"]["engine"]["requirements"][0] == "scikit-learn==1.9.1"
    assert told["training"]["code"]["files"] == 2
    assert told["inference"]["interface"]["inputs"][0]["test_value"] == "足球"


@pytest.mark.row("A2")
async def test_the_code_comes_back_as_a_zip(house: House, package: bytes) -> None:
    alice = house.client("algo-svc")
    one = await complete(alice, package)
    answer = await alice.get(f"/algorithms/{one['id']}/code/inference")
    assert answer.headers["x-content-type-options"] == "nosniff"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.read("main.py") == b"print('hello')\n"
        assert archive.namelist() == ["lib/helper.py", "main.py"]


@pytest.mark.row("A4")
async def test_an_edit_of_what_runs_is_a_new_revision(house: House, package: bytes) -> None:
    alice = house.client("algo-svc")
    one = await complete(alice, package)
    named = (await alice.patch(f"/algorithms/{one['id']}", json={"name": "数字二"})).json()
    assert (named["name"], named["revision"]) == ("数字二", one["revision"])
    again = await alice.put(f"/algorithms/{one['id']}/code/training", content=package)
    assert again.json()["revision"] == one["revision"], "the same code is no change"
    training = algorithm()["training"] | {"arguments": ["--fast"]}
    changed = (await alice.patch(f"/algorithms/{one['id']}", json={"training": training})).json()
    assert changed["revision"] == one["revision"] + 1
    assert changed["training_code"] == one["training_code"], "it keeps its code"
    without = (await alice.patch(f"/algorithms/{one['id']}", json={"inference": None})).json()
    assert (without["inference"], without["state"]) == (None, "ready")


@pytest.mark.row("A4", "A7")
async def test_what_is_online_stays_whole(house: House, package: bytes) -> None:
    alice = house.client("algo-svc")
    one = await complete(alice, package)
    await alice.post(f"/algorithms/{one['id']}/online")
    bare = {"training": {"engine": "sklearn-1.9", "command": []}}
    for answer in (
        await alice.patch(f"/algorithms/{one['id']}", json=bare),
        await alice.delete(f"/algorithms/{one['id']}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "algorithm_online")
    again = await alice.post(f"/algorithms/{one['id']}/online")
    assert (again.status_code, again.json()["code"]) == (409, "illegal_state")
    offline = (await alice.post(f"/algorithms/{one['id']}/offline")).json()
    assert (offline["state"], offline["online"]) == ("ready", False)
    assert (await alice.delete(f"/algorithms/{one['id']}")).status_code == 204
    assert (await alice.get(f"/algorithms/{one['id']}")).status_code == 404
    assert [kind for kind, subject in await events(house) if subject == one["id"]][-2:] == [
        "algorithm.offline",
        "algorithm.deleted",
    ]


@pytest.mark.row("A8")
async def test_visibility_and_rights(house: House, package: bytes) -> None:
    alice, bob, admin = (house.client("algo-svc", who) for who in ("alice", "bob", "admin"))
    one = await complete(alice, package)
    path = f"/algorithms/{one['id']}"
    await alice.put(f"{path}/visibility", json={"visibility": "public"})
    assert (await bob.get(path)).status_code == 404, "public, but not online"
    await alice.post(f"{path}/online")
    assert (await bob.get(path)).status_code == 200
    assert (await bob.patch(path, json={"name": "mine"})).status_code == 403
    preset = {"visibility": "preset"}
    assert (await alice.put(f"{path}/visibility", json=preset)).json()["code"] == "preset_admin_only"
    assert (await admin.put(f"{path}/visibility", json=preset)).json()["visibility"] == "preset"
    back = await alice.put(f"{path}/visibility", json={"visibility": "private"})
    assert back.json()["code"] == "preset_admin_only"
    await admin.put(f"{path}/visibility", json={"visibility": "private"})
    assert (await bob.get(path)).status_code == (await bob.delete(path)).status_code == 404
    assert one["id"] not in [item["id"] for item in (await bob.get("/algorithms")).json()["items"]]
    assert one["id"] in [item["id"] for item in (await alice.get("/algorithms?owner=me")).json()["items"]]


@pytest.mark.row("A1", "A2", "A3")
@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        ({"name": " "}, "invalid_algorithm", "name"),
        ({"description": "字" * 256}, "invalid_algorithm", "description"),
        ({"purpose": "image/smell"}, "unknown_purpose", "purpose"),
        ({"formats": []}, "invalid_algorithm", "formats"),
        ({"formats": ["dir", "dir"]}, "invalid_algorithm", "formats"),
        ({"training": {"engine": "abacus-1", "command": ["x"]}}, "engine_not_found", "training.engine"),
        ({"training": {"engine": "a", "image": "b"}}, "invalid_algorithm", "training.image"),
        ({"training": {"environment": {"LD_PRELOAD": "x"}}}, "invalid_algorithm", "training.environment.LD_PRELOAD"),
        ({"training": {"environment": {"PYTHONPATH": "x"}}}, "invalid_algorithm", "training.environment.PYTHONPATH"),
        ({"training": {"environment": {"yard_x": "x"}}}, "invalid_algorithm", "training.environment.yard_x"),
        ({"training": {"comand": ["python"]}}, "invalid_request", "body.training.comand"),
        ({"inference": {"resources": {"memory": "much"}}}, "invalid_request", "body.inference.resources.memory"),
    ],
)
async def test_bad_registrations_are_refused(house: House, change: dict[str, Any], code: str, where: str) -> None:
    alice = house.client("algo-svc")
    answer = await alice.post("/algorithms", json=algorithm(**change))
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert where in [fault["where"] for fault in answer.json()["faults"]]
    assert (await alice.get("/algorithms?owner=me")).json()["items"] == []


async def test_a_create_sent_twice_is_done_once(house: House) -> None:
    alice = house.client("algo-svc")
    headers = {"Idempotency-Key": "k1"}
    first = await alice.post("/algorithms", json=algorithm(), headers=headers)
    second = await alice.post("/algorithms", json=algorithm(), headers=headers)
    assert first.json()["id"] == second.json()["id"]


async def test_holds_outlive_the_algorithm(house: House, package: bytes) -> None:
    alice, train = house.client("algo-svc"), house.client("algo-svc", "train-svc")
    one = await complete(alice, package)
    path = f"/algorithms/{one['id']}/holds/rep-1"
    assert (await alice.put(path)).status_code == 403
    assert (await train.put(path)).status_code == 204
    assert (await alice.delete(f"/algorithms/{one['id']}")).status_code == 204
    assert (await train.put(path)).status_code == 204, "services of its models still run its code"
    assert (await train.put("/algorithms/algo-unknown/holds/rep-1")).status_code == 404


async def test_another_service_asks_for_the_snapshot(house: House) -> None:
    one = await registered(house.client("algo-svc"))
    train = house.client("algo-svc", "train-svc")
    answer = (await train.get(f"/algorithms/{one['id']}/snapshot")).json()
    assert (answer["id"], answer["revision"], answer["online"]) == (one["id"], 1, False)
    assert (await house.client("algo-svc").get(f"/algorithms/{one['id']}/snapshot")).status_code == 403


async def test_lists_are_filtered(house: House, package: bytes) -> None:
    alice = house.client("algo-svc")
    await registered(alice, name="one hundred %")
    await complete(alice, package, name="another", purpose="text/classification")

    async def names(query: str) -> list[str]:
        return [item["name"] for item in (await alice.get(f"/algorithms?owner=me&{query}")).json()["items"]]

    assert await names("q=%25") == ["one hundred %"]
    assert await names("purpose=text/classification") == ["another"]
    assert await names("state=draft") == ["one hundred %"]
    assert await names("sort=name") == ["another", "one hundred %"]
    assert await names("online=true") == []
