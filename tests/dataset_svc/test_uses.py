"""Who uses a dataset is told to whoever wants to take it away; what they may not see is counted."""

import pytest

from common.kernel.errors import Unavailable
from dataset_svc.domain.uses import Use, Uses
from tests.dataset_svc.test_formatted_sets import ready


@pytest.fixture
def jobs(place, monkeypatch):
    """What train-svc would answer; None where it is away."""
    told = {"items": [], "more": False}

    async def get(service, path, **params):
        assert service == "train-svc"
        assert path.startswith("/api/v1/uses/datasets/ds-")
        if told.get("away"):
            raise Unavailable("service_unavailable", "train-svc does not answer at present.")
        return {"items": told["items"], "more": told["more"]}

    monkeypatch.setattr(place.context.kit.calls, "get", get)
    return told


def job(owner, number):
    return {"kind": "job", "id": f"job-{number}", "name": f"训练 {number}", "owner": owner, "state": "running"}


@pytest.mark.row("D4")
async def test_an_online_dataset_is_not_deleted_and_says_who_uses_it(place, alice, bob, admin, jobs):
    made = await alice.online(visibility="public")
    path = f"/datasets/{made['id']}"
    assert (await alice.ok("GET", f"{path}/uses")) == {"items": [], "others": 0, "unknown": [], "more": False}
    for desk in (alice, bob):
        body = {"dataset_id": made["id"], "format": "raw"}
        await ready(desk, await desk.ok("POST", "/formatted-sets", 202, json=body))
    await place.desk("train-svc").ok("PUT", f"{path}/holds/hold-1", 204)
    jobs["items"] = [job("alice", 1), job("bob", 2), job("bob", 3)]
    problem = await alice.refused("DELETE", path, 409, "dataset_online")
    assert [(use["kind"], use["owner"]) for use in problem["used_by"]] == [("formatted_set", "alice"), ("job", "alice")]
    assert problem["others"] == 3
    assert "'训练 1' (job-1)" in problem["detail"]
    assert "3 more" in problem["detail"]
    assert "训练 2" not in problem["detail"]
    assert len((await admin.ok("GET", f"{path}/uses"))["items"]) == 5
    await bob.refused("GET", f"{path}/uses", 403, "not_owner")
    await alice.ok("POST", f"{path}/offline")
    await alice.ok("DELETE", path, 204)
    await alice.refused("GET", f"{path}/uses", 404, "dataset_not_found")


@pytest.mark.row("D4")
async def test_a_holder_that_can_not_be_asked_is_named(place, alice, jobs):
    made = await alice.online()
    path = f"/datasets/{made['id']}"
    await place.desk("train-svc").ok("PUT", f"{path}/holds/hold-1", 204)
    jobs["away"] = True
    problem = await alice.refused("DELETE", path, 409, "dataset_online")
    assert "something in train-svc, which can't be asked now" in problem["detail"]
    assert (await alice.ok("GET", f"{path}/uses"))["unknown"] == ["train-svc"]


@pytest.mark.row("D4")
async def test_a_job_that_waits_in_the_queue_and_holds_nothing_yet_is_listed(alice, jobs):
    made = await alice.online()
    path = f"/datasets/{made['id']}"
    jobs["items"] = [job("alice", 1) | {"state": "queued"}]
    problem = await alice.refused("DELETE", path, 409, "dataset_online")
    assert [(use["id"], use["state"]) for use in problem["used_by"]] == [("job-1", "queued")]
    jobs["away"] = True
    assert await alice.ok("GET", f"{path}/uses") == {"items": [], "others": 0, "unknown": ["train-svc"], "more": False}
    await alice.ok("POST", f"{path}/offline")
    await alice.ok("DELETE", path, 204)


def test_what_is_said_of_uses():
    one = Use("formatted_set", "set-1", "digits", "alice", "ready")
    assert Uses().sentence() == "Nothing uses it at present."
    assert Uses([one]).sentence() == "It is used by formatted set 'digits' (set-1)."
    assert Uses([one] * 3, 2).sentence(1).endswith("(set-1), 4 more.")
    away = Uses([one], unknown=["train-svc"]).sentence()
    assert away.endswith("(set-1). It may be used by something in train-svc, which can't be asked now.")
    assert Uses(others=2).sentence() == "It is used by 2 of others'."
