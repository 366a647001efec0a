"""Administrators say what a name means, everywhere or on one cluster, and jobs get that from then on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.train_svc.conftest import Yard, gpus
from train_svc import nodes

pytestmark = pytest.mark.row("T9")


async def meaning(yard: Yard, name: str) -> list[tuple[Any, str, dict[str, str]]]:
    """What a name means: where, who said so, and in words."""
    items = (await yard.get("/resource-specs"))["items"]
    return [(one["cluster"], one["source"], one["meaning"]) for one in items if one["name"] == name]


async def test_what_is_said_holds_until_it_is_taken_back(yard: Yard) -> None:
    admin = yard.client("admin")
    here = "'small' means 1 CPU on the cluster default: it has no accelerators."
    assert await meaning(yard, "small") == [(None, "built in", {"default": here})]
    yard.nodes.items = [gpus(4)]
    await nodes.oversee(yard.context, None)
    assert await meaning(yard, "small") == [(None, "built in", {"default": "1 CPU and 1 GPU"})]
    said = await admin.put("/resource-specs/small?cluster=default", json={"count": 3, "cpu": 2, "memory": "1Gi"})
    assert (said.status_code, said.json()["memory"], said.json()["updated_by"]) == (200, 1 << 30, "admin")
    assert await meaning(yard, "small") == [
        (None, "built in", {}),
        ("default", "administrator", {"default": "2 CPUs, 1 GiB of memory and 3 GPUs"}),
    ]
    things = await yard.things(training={"devices": ("cpu", "gpu")})
    job = await yard.job(resources={"spec": "small"}, **things)
    assert (job["resources"]["count"], job["resources"]["cpu"]) == (3, 2)
    assert (await admin.delete("/resource-specs/small?cluster=default")).status_code == 204
    assert (await admin.delete("/resource-specs/small?cluster=default")).status_code == 404
    assert (await admin.delete("/resource-specs/small")).json()["code"] == "not_said_here"
    assert len(await meaning(yard, "small")) == 1
    assert (await yard.alice.put("/resource-specs/small", json={"count": 3})).status_code == 403


async def test_every_fault_is_told_at_once(yard: Yard) -> None:
    body = {"count": -1, "accelerator": "tpu", "cpu": -1, "nodes": 0, "selectors": {"a b": "x"}}
    answer = await yard.client("admin").put("/resource-specs/mine?cluster=mars", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_resource_spec")
    where = [fault["where"] for fault in answer.json()["faults"]]
    assert where == ["count", "accelerator", "cpu", "nodes", "selectors.a b", "cluster"]
    things = await yard.things()
    wrong = {"cpu": 0, "accelerator": "tpu", "nodes": 0, "cluster": "mars", "selectors": {"": "x"}}
    answer = await yard.alice.post("/jobs", json={"name": "one", **things, "resources": wrong})
    assert answer.status_code == 422
    assert len(answer.json()["faults"]) == 5


async def test_a_job_says_where_it_must_run(yard: Yard) -> None:
    yard.nodes.items = [gpus(2, "a"), replace(gpus(2, "b"), labels={"disk": "nvme"})]
    await nodes.oversee(yard.context, None)
    things = await yard.things(training={"devices": ("cpu", "gpu")})
    wanted = {"accelerator": "nvidia.com/gpu", "count": 1, "selectors": {"disk": "nvme"}, "cluster": "default"}
    job = await yard.job(resources=wanted, **things)
    assert job["resources"] | {"accelerator": "gpu", "selectors": {"disk": "nvme"}} == job["resources"]
    (allocation,) = (await yard.get("/allocations"))["items"]
    assert [place["node"] for place in allocation["placements"]] == ["b"]
    refused = {**wanted, "selectors": {"disk": "tape"}}
    answer = await yard.alice.post("/jobs", json={"name": "two", **things, "resources": refused})
    assert (answer.status_code, answer.json()["code"]) == (422, "never_fits")
