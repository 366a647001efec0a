"""What may be submitted: bad input named whole, only what is online and visible, and what others know first."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.kernel.ids import new_id
from tests.train_svc.conftest import Yard


async def refused(yard: Yard, status: int, **body: Any) -> dict[str, Any]:
    """The problem that this job gets; nothing is changed."""
    before = await yard.events()
    things = {} if "algorithm_id" in body else await yard.things()
    text = json.dumps({"name": "one", **things, **body})
    answer = await yard.alice.post("/jobs", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await yard.get("/jobs"))["items"] == []
    assert await yard.events() == before
    return answer.json()


@pytest.mark.row("T1", "T10", "D8")
@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"split": {"ratio": 0}}, "split.ratio"),
        ({"split": {"ratio": 1}}, "split.ratio"),
        ({"split": {"ratio": 1.5}}, "split.ratio"),
        ({"split": {"ratio": float("nan")}}, "split.ratio"),
        ({"parameters": {"momentum": 1}}, "parameters.momentum"),
        ({"parameters": {"epochs": 1.5}}, "parameters.epochs"),
        ({"parameters": {"rate": float("inf")}}, "parameters.rate"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"description": "字" * 256}, "description"),
        ({"resources": {"spec": "huge"}}, "resources.spec"),
        ({"environment": {"LD_PRELOAD": "x"}}, "environment.LD_PRELOAD"),
        ({"environment": {"DATA_DIR": "/"}}, "environment.DATA_DIR"),
        ({"time_limit_seconds": 10**9}, "time_limit_seconds"),
    ],
)
async def test_what_is_wrong_is_named(yard: Yard, body: dict[str, Any], where: str) -> None:
    problem = await refused(yard, 422, **body)
    assert problem["code"] == "invalid_job"
    assert [fault["where"] for fault in problem["faults"]] == [where]


async def test_a_field_that_does_not_exist_is_a_fault(yard: Yard) -> None:
    problem = await refused(yard, 422, parameter={"epochs": 1}, resources={"memory": "lots"})
    assert {fault["where"] for fault in problem["faults"]} == {"body.parameter", "body.resources.memory"}


async def test_an_algorithm_that_does_not_take_the_datasets_format(yard: Yard) -> None:
    things = {
        "dataset_id": await yard.owners.dataset(yard.house.platform, format="json"),
        "algorithm_id": await yard.owners.algorithm(yard.house.platform),
    }
    problem = await refused(yard, 422, **things)
    assert "'json'" in problem["detail"]


@pytest.mark.row("T9")
async def test_what_can_never_fit_is_refused_at_submit(yard: Yard) -> None:
    problem = await refused(yard, 422, resources={"cpu": 9})
    assert problem["code"] == "never_fits"
    assert problem["largest"]["cpu"] == 8.0
    assert "At most: 8 CPUs" in problem["detail"]


@pytest.mark.row("D6")
async def test_only_what_is_online_can_be_used(yard: Yard) -> None:
    things = await yard.things()
    await yard.owners.dataset_offline(things["dataset_id"])
    await yard.quiet()
    assert (await refused(yard, 409, **things))["code"] == "dataset_offline"
    things = await yard.things()
    await yard.owners.algorithm_offline(things["algorithm_id"])
    await yard.quiet()
    assert (await refused(yard, 409, **things))["code"] == "algorithm_offline"


@pytest.mark.row("T1", "D7")
async def test_mine_public_and_preset_can_be_used_and_others_private_ones_are_not_there(yard: Yard) -> None:
    platform = yard.house.platform
    algorithm_id = await yard.owners.algorithm(platform, owner="bob", visibility="preset")
    public = await yard.owners.dataset(platform, owner="bob", visibility="public")
    private = await yard.owners.dataset(platform, owner="bob")
    absent = await refused(yard, 404, algorithm_id=algorithm_id, dataset_id=new_id("ds"))
    hidden = await refused(yard, 404, algorithm_id=algorithm_id, dataset_id=private)
    assert absent["code"] == hidden["code"] == "dataset_not_found"
    assert absent["title"] == hidden["title"]
    assert (await refused(yard, 404, algorithm_id="../../x", dataset_id=public))["code"] == "algorithm_not_found"
    await yard.job(algorithm_id=algorithm_id, dataset_id=public)


async def test_jobs_are_submitted_while_the_owners_are_down(yard: Yard) -> None:
    things = await yard.things()
    yard.owners.datasets.down = yard.owners.algorithms.down = True
    job = await yard.job(**things, dataset_after=7)
    yard.owners.datasets.down = yard.owners.algorithms.down = False
    await yard.running(job["id"])


async def test_what_was_not_heard_of_yet_is_asked_for_once(yard: Yard) -> None:
    platform = yard.house.platform
    things = {
        "dataset_id": await yard.owners.dataset(platform, tell=False),
        "algorithm_id": await yard.owners.algorithm(platform, tell=False),
    }
    await yard.job(**things)
    assert yard.owners.datasets.asked == yard.owners.algorithms.asked == 1
    yard.owners.datasets.down = True
    body = {"name": "one", **things, "dataset_id": new_id("ds")}
    assert (await yard.alice.post("/jobs", json=body)).status_code == 503


async def test_a_version_that_the_asker_has_seen_makes_it_ask_the_owner(yard: Yard) -> None:
    things = await yard.things()
    known = yard.owners.datasets.snapshots[things["dataset_id"]]
    newer = known.version.model_copy(update={"number": 2})
    yard.owners.datasets.snapshots[known.id] = known.model_copy(update={"version": newer})
    assert (await yard.job(**things))["dataset"]["version"] == 1
    assert (await yard.job(**things, dataset_after=9))["dataset"]["version"] == 2
