"""Models: what they are made of, and how they become services."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from common.contracts.shared import Visibility
from tests.train_svc.conftest import Yard
from train_svc.storage import models


async def trained(yard: Yard, **algorithm: Any) -> dict[str, Any]:
    """A model of a job that succeeded."""
    job = await yard.job(**await yard.things(**algorithm))
    attempt = await yard.running(job["id"])
    yard.runtime.says(attempt, metrics=b'{"step": 1, "accuracy": 0.9}\n', model=b"weights")
    yard.runtime.ends(attempt)
    ended = await yard.until(job["id"], "succeeded")
    return await yard.get(f"/models/{ended['model_id']}")


@pytest.mark.row("M1", "M5", "M6")
async def test_a_model_knows_where_it_comes_from(yard: Yard) -> None:
    model = await trained(yard)
    job = await yard.get(f"/jobs/{model['job_id']}")
    assert job["model_id"] == model["id"]
    assert (model["metrics"], model["attempt"], model["purpose"]) == ({"accuracy": 0.9}, 1, "image/classification")
    assert (model["files"], model["bytes"]) == (1, 7)
    lineage = model["lineage"]
    assert (lineage["algorithm_id"], lineage["dataset_id"]) == (job["algorithm"]["id"], job["dataset"]["id"])
    assert lineage["parameters"] == job["parameters"]
    (created,) = await yard.events("model.created")
    assert created["data"]["lineage"] == lineage
    assert [m["id"] for m in (await yard.get(f"/models?job_id={job['id']}"))["items"]] == [model["id"]]
    assert (await yard.get("/models?q=zzz"))["items"] == []


async def test_starting_again_makes_another_model_and_keeps_the_first(yard: Yard) -> None:
    first = await trained(yard)
    await yard.alice.post(f"/jobs/{first['job_id']}/start")
    attempt = await yard.running(first["job_id"])
    yard.runtime.says(attempt, model=b"better")
    yard.runtime.ends(attempt)
    second = (await yard.until(first["job_id"], "succeeded"))["model_id"]
    assert second != first["id"]
    assert (await yard.get(f"/models/{second}"))["attempt"] == 2
    assert (await yard.alice.get(f"/models/{first['id']}/files/file?path=model")).content == b"weights"


@pytest.mark.row("M4")
async def test_publishing_twice_gives_two_services_and_a_key_makes_it_once(yard: Yard) -> None:
    model = await trained(yard)
    path, body, key = f"/models/{model['id']}/publish", {"service_name": "识别"}, {"Idempotency-Key": "p"}
    once = [(await yard.alice.post(path, json=body, headers=key)).json()["service_id"] for _ in range(2)]
    again = await yard.alice.post(path, json=body)
    assert once[0] == once[1] != again.json()["service_id"]
    assert again.json()["services"] == [once[0], again.json()["service_id"]]
    told = await yard.events("model.published")
    assert [event["data"]["service_id"] for event in told] == again.json()["services"]
    assert told[0]["data"]["manifest"]["digest"] == model["digest"]
    assert (await yard.get(f"/models/{model['id']}/lineage"))["services"] == again.json()["services"]
    for wrong in ({"service_name": ""}, {"service_name": "x", "description": "y" * 256}):
        assert (await yard.alice.post(path, json=wrong)).json()["code"] == "invalid_service"
    other = await trained(yard)
    reused = await yard.alice.post(f"/models/{other['id']}/publish", json=body, headers=key)
    assert reused.json()["code"] == "idempotency_key_reused"


@pytest.mark.row("M4")
async def test_what_can_not_serve_is_refused_with_the_reason(yard: Yard) -> None:
    model = await trained(yard, serves=False)
    assert model["can_serve"] is False
    answer = await yard.alice.post(f"/models/{model['id']}/publish", json={"service_name": "x"})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_inference_part")
    assert await yard.events("model.published") == []


async def test_edited_and_deleted(yard: Yard) -> None:
    model = await trained(yard)
    path = f"/models/{model['id']}"
    edited = (await yard.alice.patch(path, json={"name": "新", "description": "好"})).json()
    assert (edited["name"], edited["description"], edited["version"]) == ("新", "好", model["version"] + 1)
    assert (await yard.alice.patch(path, json={"name": ""})).json()["code"] == "invalid_model"
    assert (await yard.alice.delete(path)).status_code == 204
    assert (await yard.alice.get(path)).status_code == 404
    assert (await yard.alice.delete(path)).status_code == 404
    assert (await yard.get("/models"))["items"] == []
    assert len(await yard.events("model.deleted")) == 1
    assert (await yard.get(f"/jobs/{model['job_id']}/results"))["items"]


async def test_others_see_a_model_only_where_it_is_shared_and_change_nothing(yard: Yard) -> None:
    model = await trained(yard)
    path, bob = f"/models/{model['id']}", yard.client("bob")
    reads = ("", "/files", "/files/file?path=model", "/files.zip", "/lineage")
    for read in reads:
        assert (await bob.get(path + read)).status_code == 404
    assert (await bob.post(f"{path}/publish", json={"service_name": "x"})).status_code == 404
    await share(yard, model["id"])
    for read in reads:
        assert (await bob.get(path + read)).status_code == 200
    assert [m["id"] for m in (await bob.get("/models")).json()["items"]] == [model["id"]]
    assert (await bob.post(f"{path}/publish", json={"service_name": "x"})).json()["code"] == "not_owner"
    assert (await bob.patch(path, json={"name": "x"})).status_code == 403
    assert (await bob.delete(path)).status_code == 403


async def share(yard: Yard, model_id: str) -> None:
    async with yard.context.kit.store.work() as uow:
        model = await models.get(uow.connection, model_id)
        shared = replace(model, visibility=Visibility.PUBLIC)
        await models.save(uow.connection, shared, now=uow.clock.now())


async def test_replicas_hold_a_model_also_after_it_was_deleted(yard: Yard) -> None:
    model = await trained(yard)
    serving, hold = yard.client("serving-svc"), f"/models/{model['id']}/holds/rep-1"
    assert (await yard.alice.put(hold)).status_code == 403
    assert (await serving.put(hold)).status_code == 204
    await yard.alice.delete(f"/models/{model['id']}")
    assert (await serving.put(hold)).status_code == 204
    assert (await serving.delete(hold)).status_code == 204
    assert (await serving.put("/models/model-x/holds/rep-1")).status_code == 404
