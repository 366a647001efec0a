"""Base environments through the API (seed 002 §2.5)."""

from dataclasses import replace

import pytest

from common.kernel.accelerators import parse_accelerators
from notebook_svc.service import build
from tests.support.platform import running

TORCH = {
    "name": "PyTorch 环境",
    "framework": "PyTorch",
    "framework_version": "2.13",
    "device": "gpu",
    "description": "ok",
}


@pytest.fixture
async def house(tmp_path):
    async with running(tmp_path, [build]) as made:
        yield made


@pytest.mark.row("E1", "E2", "E3", "E4")
async def test_create_edit_show_delete(house):
    alice = house.client("notebook-svc", "alice")
    made = await alice.post("/environments", json=TORCH, headers={"Idempotency-Key": "k"})
    assert made.status_code == 201
    again = await alice.post("/environments", json=TORCH, headers={"Idempotency-Key": "k"})
    assert again.json() == made.json()
    where = f"/environments/{made.json()['id']}"
    edited = await alice.patch(where, json={"description": "新的", "framework_version": "2.14"})
    assert edited.json()["version"] == 2
    shown = (await alice.get(where)).json()
    assert (shown["description"], shown["framework_version"], shown["state"]) == ("新的", "2.14", "defined")
    assert [item["id"] for item in (await alice.get("/environments?q=环境")).json()["items"]] == [shown["id"]]
    assert (await alice.delete(where)).status_code == 204
    assert (await alice.get(where)).status_code == 404


@pytest.mark.row("E6")
async def test_others_see_it_once_it_is_shared(house):
    alice, bob, admin = (house.client("notebook-svc", name) for name in ("alice", "bob", "admin"))
    where = f"/environments/{(await alice.post('/environments', json=TORCH)).json()['id']}"
    assert (await bob.get(where)).status_code == 404
    assert (await bob.delete(where)).status_code == 404
    assert (await alice.put(f"{where}/visibility", json={"visibility": "public"})).status_code == 200
    assert (await bob.get(where)).status_code == 200
    assert (await bob.patch(where, json={"name": "mine"})).json()["code"] == "not_owner"
    refused = await alice.put(f"{where}/visibility", json={"visibility": "preset"})
    assert (refused.status_code, refused.json()["code"]) == (403, "preset_admin_only")
    assert (await admin.put(f"{where}/visibility", json={"visibility": "preset"})).status_code == 200
    back = await alice.put(f"{where}/visibility", json={"visibility": "private"})
    assert back.json()["code"] == "preset_admin_only"
    assert (await alice.patch(where, json={"name": "still mine"})).status_code == 200


async def test_everything_that_is_wrong_is_said_at_once(house):
    alice = house.client("notebook-svc", "alice")
    bad = TORCH | {"name": "", "framework": "../x", "framework_version": "", "device": "tpu", "description": "x" * 256}
    answer = await alice.post("/environments", json=bad)
    assert answer.status_code == 422
    where = {fault["where"] for fault in answer.json()["faults"]}
    assert where == {"name", "framework", "framework_version", "device", "description"}
    assert (await alice.get("/environments")).json()["items"] == []
    assert (await alice.post("/environments", json=TORCH | {"frmework": "x"})).status_code == 422


@pytest.mark.row("E1", "T9")
async def test_any_accelerator_that_is_configured_will_do(tmp_path):
    kinds = parse_accelerators('{"amd.com/gpu": {"kind": "rocm", "variables": ["ROCR_VISIBLE_DEVICES"]}}')
    async with running(tmp_path, [lambda platform: build(replace(platform, accelerators=kinds))]) as house:
        alice = house.client("notebook-svc", "alice")
        for device, short in (("rocm", "rocm"), ("amd.com/gpu", "rocm"), ("nvidia.com/gpu", "gpu"), ("cpu", "cpu")):
            made = await alice.post("/environments", json=TORCH | {"device": device})
            assert (made.status_code, made.json()["device"]) == (201, short)
        (fault,) = (await alice.post("/environments", json=TORCH | {"device": "tpu"})).json()["faults"]
        assert fault["reason"] == "Choose one of cpu, gpu, npu, rocm."
