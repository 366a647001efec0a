"""Jobs over HTTP: drafts, stopping, starting again, ends of every kind, and who may do what."""

from __future__ import annotations

import asyncio

import pytest

from common.kernel.errors import Problem
from common.kernel.ids import new_id
from tests.train_svc.conftest import Yard, eventually, gpus, open_yard


@pytest.mark.row("T3", "T4")
async def test_a_draft_is_edited_wholly_and_then_started(yard: Yard) -> None:
    job = await yard.job(start=False)
    assert (job["state"], job["attempt"]) == ("draft", 0)
    assert yard.runtime.started == []
    path = f"/jobs/{job['id']}"
    changes = {"name": "二", "parameters": {"epochs": 9}, "split": {"ratio": 0.5}, "resources": {"cpu": 2}}
    edited = (await yard.alice.patch(path, json=changes)).json()
    assert edited["version"] == job["version"] + 1
    assert (edited["name"], edited["parameters"]["epochs"], edited["split"]["ratio"]) == ("二", 9, 0.5)
    assert edited["resources"]["cpu"] == 2
    assert (await yard.alice.patch(path, json={"split": {"ratio": 2}})).status_code == 422
    assert (await yard.alice.post(f"{path}/start")).status_code == 202
    attempt = await yard.running(job["id"])
    words = yard.runtime.workloads[attempt].spec.command
    assert words[:2] == ("python3", "train.py")
    assert words[2:4] == ("--epochs", "9")
    refused = (await yard.alice.patch(path, json={"parameters": {}})).json()
    assert (refused["status"], refused["code"]) == (409, "not_a_draft")
    renamed = (await yard.alice.patch(path, json={"name": "三", "description": "好"})).json()
    assert (renamed["name"], renamed["description"]) == ("三", "好")


async def test_an_attempt_gets_what_the_contract_says(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.workloads.holding.IDLE_SECONDS", 0.5)
    job = await yard.job(environment={"MINE": "1"}, time_limit_seconds=60, parameters={"shuffle": False})
    spec = yard.runtime.workloads[await yard.running(job["id"])].spec
    assert spec.working_mount == "code"
    mounts = {mount.name: mount for mount in spec.mounts}
    assert {m.variable for m in spec.mounts} == {"YARD_CODE_DIR", "DATA_DIR", "RESULT_DIR", "CKPT_DIR", ""}
    assert mounts["ckpt"].volume == f"ckpt/{job['id']}"
    data = mounts["dataset"].source
    assert sorted(path.name for path in data.iterdir()) == ["test", "train"]
    assert spec.environment["YARD_METRICS"] == "{metrics}/metrics.jsonl"
    assert spec.environment["YARD_JOB_ID"] == job["id"]
    assert (spec.environment["EPOCHS"], spec.environment["epochs"], spec.environment["MINE"]) == ("2", "2", "1")
    assert spec.command[-2:] == ("--shuffle", "false")
    assert spec.limits.seconds == 60
    assert {item for item, _ in yard.owners.datasets.holds} == {job["dataset"]["id"]}
    yard.runtime.ends(spec.workload)
    await yard.until(job["id"], "succeeded")

    async def let_go() -> bool:
        return not yard.owners.datasets.holds and not yard.owners.algorithms.holds

    await eventually(let_go)


@pytest.mark.row("T2")
async def test_an_independent_test_set_is_the_test_part(yard: Yard) -> None:
    platform = yard.house.platform
    dataset_id = await yard.owners.dataset(platform, test=True)
    job = await yard.job(dataset_id=dataset_id, algorithm_id=await yard.owners.algorithm(platform))
    assert job["split"] is None
    spec = yard.runtime.workloads[await yard.running(job["id"])].spec
    data = next(mount.source for mount in spec.mounts if mount.name == "dataset")
    assert len(list((data / "test").rglob("*.txt"))) == len(list((data / "train").rglob("*.txt"))) == 8


@pytest.mark.row("T2")
async def test_without_a_split_nothing_is_held_out(yard: Yard) -> None:
    job = await yard.job(split=None)
    spec = yard.runtime.workloads[await yard.running(job["id"])].spec
    data = next(mount.source for mount in spec.mounts if mount.name == "dataset")
    assert sorted(path.name for path in data.iterdir()) == ["cat", "dog"]
    draft = await yard.job(start=False)
    assert draft["split"] == {"ratio": 0.8, "seed": 0}
    whole = (await yard.alice.patch(f"/jobs/{draft['id']}", json={"split": None})).json()
    assert whole["split"] is None
    again = (await yard.alice.patch(f"/jobs/{draft['id']}", json={"split": {"ratio": 0.5}})).json()
    assert again["split"] == {"ratio": 0.5, "seed": 0}


@pytest.mark.row("T13", "T14")
async def test_stopped_and_started_again_as_a_new_attempt(yard: Yard) -> None:
    job = await yard.job()
    first = await yard.running(job["id"])
    yard.runtime.says(first, b"first\n", b'{"step": 1, "loss": 1}\n', partial=b"kept")
    stopping = await yard.alice.post(f"/jobs/{job['id']}/stop")
    assert (stopping.status_code, stopping.json()["state"]) == (202, "stopping")
    stopped = await yard.until(job["id"], "stopped")
    assert (stopped["reason"], stopped["model_id"]) == ("stopped_by_user", None)
    assert [f["path"] for f in (await yard.get(f"/jobs/{job['id']}/results"))["items"]] == ["partial"]

    async def freed() -> bool:
        (node,) = (await yard.get("/nodes"))["items"]
        return node["cpu_free"] == node["cpu"]

    await eventually(freed)
    assert (await yard.alice.post(f"/jobs/{job['id']}/stop")).json()["code"] == "illegal_state"
    assert (await yard.alice.post(f"/jobs/{job['id']}/start")).status_code == 202
    second = await yard.running(job["id"])
    assert second != first
    volumes = {
        m.volume
        for a in (first, second)
        if a in yard.runtime.workloads
        for m in yard.runtime.workloads[a].spec.mounts
        if m.name == "ckpt"
    }
    assert volumes == {f"ckpt/{job['id']}"}
    yard.runtime.ends(second)
    await yard.until(job["id"], "succeeded")
    attempts = (await yard.get(f"/jobs/{job['id']}/attempts"))["items"]
    assert [(a["number"], a["reason"]) for a in attempts] == [(1, "stopped_by_user"), (2, "completed")]
    assert (await yard.alice.get(f"/jobs/{job['id']}/log", params={"attempt": 1})).text == "first\n"
    assert (await yard.get(f"/jobs/{job['id']}/metrics?attempt=1"))["series"] == {"loss": [[1, 1.0]]}
    assert (await yard.get(f"/jobs/{job['id']}/metrics"))["series"] == {}
    assert (await yard.get(f"/jobs/{job['id']}/log?attempt=3", 404))["code"] == "attempt_not_found"


async def test_a_queued_job_says_so_is_stopped_at_once_and_lets_others_by(yard: Yard) -> None:
    first = await yard.job(resources={"cpu": 7})
    second = await yard.job(resources={"cpu": 8})
    third = await yard.job(resources={"cpu": 1})  # it would be in the second's way
    assert [(await yard.get(f"/jobs/{j['id']}"))["state"] for j in (second, third)] == ["queued", "queued"]
    assert "position 2" in (await yard.get(f"/jobs/{third['id']}"))["note"]
    (queue,) = (await yard.get("/queues"))["items"]
    assert [place["position"] for place in queue["waiting"]] == [1, 2]
    assert (await yard.alice.post(f"/jobs/{second['id']}/stop")).json()["state"] == "stopped"
    await yard.until(third["id"], "running")
    assert (await yard.get(f"/jobs/{first['id']}"))["state"] in ("preparing", "running")
    assert len(yard.runtime.started) == 2


@pytest.mark.row("T5", "T15")
@pytest.mark.parametrize(
    ("code", "cause", "state", "reason"),
    [
        (3, "exit", "failed", "exit_code"),
        (None, "time_limit", "timed_out", "time_limit"),
        (137, "out_of_memory", "failed", "out_of_memory"),
        (1, "storage_full", "failed", "storage_full"),
        (None, "lost", "failed", "lost"),
    ],
)
async def test_every_end_has_its_state_reason_and_event(
    yard: Yard, code: int | None, cause: str, state: str, reason: str
) -> None:
    job = await yard.job()
    attempt = await yard.running(job["id"])
    yard.runtime.says(attempt, b"log of it\n", partial=b"left")
    yard.runtime.ends(attempt, code, cause)
    ended = await yard.until(job["id"], "failed", "timed_out")
    assert (ended["state"], ended["reason"], ended["exit_code"]) == (state, reason, code if cause != "lost" else None)
    assert ended["model_id"] is None
    (event,) = await yard.events(f"job.{state}")
    assert event["data"]["reason"] == reason
    assert (await yard.alice.get(f"/jobs/{job['id']}/log")).text == "log of it\n"
    assert len((await yard.get(f"/jobs/{job['id']}/results"))["items"]) == 1


async def test_a_launch_that_fails_says_why(yard: Yard) -> None:
    yard.runtime.refusing = Problem("launch_failed", "There is no program 'python3'.")
    job = await yard.job()
    failed = await yard.until(job["id"], "failed")
    assert (failed["reason"], failed["detail"]) == ("launch_failed", "There is no program 'python3'.")
    assert await yard.events("job.started") == []


async def test_staging_that_fails_says_why(yard: Yard) -> None:
    things = await yard.things()
    address = yard.owners.datasets.snapshots[things["dataset_id"]].version.train.address
    await yard.house.platform.files.delete(address)
    failed = await yard.until((await yard.job(**things))["id"], "failed")
    assert failed["reason"] == "staging_failed"


async def test_a_dataset_that_is_gone_can_not_be_held(yard: Yard) -> None:
    things = await yard.things()
    del yard.owners.datasets.snapshots[things["dataset_id"]]
    failed = await yard.until((await yard.job(**things))["id"], "failed")
    assert failed["reason"] == "staging_failed"


@pytest.mark.parametrize("content", [b"{", b"[1]", b'{"accuracy": NaN}', b"\xff"])
async def test_an_evaluation_that_is_none_is_a_note_and_no_failure(yard: Yard, content: bytes) -> None:
    job = await yard.job()
    attempt = await yard.running(job["id"])
    yard.runtime.workloads[attempt].files["results"]["evaluation.json"] = content
    yard.runtime.ends(attempt)
    ended = await yard.until(job["id"], "succeeded")
    assert ended["evaluation"] is None
    assert "evaluation.json" in ended["note"]
    assert ended["model_id"] is not None


async def test_success_without_results_makes_no_model(yard: Yard) -> None:
    job = await yard.job()
    yard.runtime.ends(await yard.running(job["id"]))
    ended = await yard.until(job["id"], "succeeded")
    assert ended["model_id"] is None
    assert "no file" in ended["note"]
    assert (await yard.get(f"/jobs/{job['id']}/results"))["items"] == []
    assert (await yard.get(f"/jobs/{job['id']}/results.zip", 404))["code"] == "no_results"


@pytest.mark.row("T16")
async def test_deleting_a_job_keeps_its_model_and_its_lineage(yard: Yard) -> None:
    job = await yard.job()
    attempt = await yard.running(job["id"])
    refused = await yard.alice.delete(f"/jobs/{job['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_running")
    yard.runtime.says(attempt, model=b"weights")
    yard.runtime.ends(attempt)
    ended = await yard.until(job["id"], "succeeded")
    assert (await yard.alice.delete(f"/jobs/{job['id']}")).status_code == 204
    await yard.get(f"/jobs/{job['id']}", 404)
    assert (await yard.alice.delete(f"/jobs/{job['id']}")).status_code == 404
    assert (await yard.get("/jobs"))["items"] == []
    lineage = await yard.get(f"/models/{ended['model_id']}/lineage")
    assert lineage["job"] == {"id": job["id"], "name": "one", "deleted": True}
    assert lineage["lineage"]["parameters"]["epochs"] == 2
    assert (await yard.alice.get(f"/models/{ended['model_id']}/files/file?path=model")).content == b"weights"
    assert len(await yard.events("job.deleted")) == 1


@pytest.mark.row("T16")
async def test_lists_are_filtered_and_paged(yard: Yard) -> None:
    things = await yard.things()
    ids = [(await yard.job(**things, name=f"job {n}", start=False))["id"] for n in range(5)]
    running = await yard.job(**things, name="50% 好")
    await yard.running(running["id"])
    page = await yard.get("/jobs?limit=4&sort=created_at")
    assert [job["id"] for job in page["items"]] == ids[:4]
    rest = await yard.get(f"/jobs?limit=4&sort=created_at&cursor={page['next_cursor']}")
    assert [job["id"] for job in rest["items"]] == [ids[4], running["id"]]
    assert rest["next_cursor"] is None
    assert [job["id"] for job in (await yard.get("/jobs?q=%25"))["items"]] == [running["id"]]
    assert [job["id"] for job in (await yard.get("/jobs?state=running&state=queued"))["items"]] == [running["id"]]
    assert (await yard.get(f"/jobs?dataset_id={new_id('ds')}"))["items"] == []
    assert (await yard.get("/jobs?state=flying", 422))["code"] == "invalid_request"


async def test_others_see_nothing_of_a_job_and_administrators_everything(yard: Yard) -> None:
    job = await yard.job()
    attempt = await yard.running(job["id"])
    bob, admin = yard.client("bob"), yard.client("admin")
    base = f"/jobs/{job['id']}"
    for path in ("", "/attempts", "/log", "/log/stream", "/metrics", "/metrics/stream", "/results", "/results.zip"):
        assert (await bob.get(base + path)).status_code == 404, path
    for verb in ("/start", "/stop", "/metrics"):
        assert (await bob.post(base + verb, content="[]")).status_code == 404, verb
    assert (await bob.patch(base, json={"name": "x"})).status_code == 404
    assert (await bob.delete(base)).status_code == 404
    assert (await bob.get("/jobs")).json()["items"] == []
    assert (await bob.get("/allocations")).json()["items"] == []
    assert (await bob.get(f"/allocations/alloc-{attempt}")).status_code == 404
    assert (await admin.get(base)).json()["id"] == job["id"]
    assert (await yard.client(None).get(base)).status_code == 401
    assert (await admin.post(f"{base}/stop")).status_code == 202


async def test_an_idempotency_key_makes_one_job_also_when_the_dataset_went_offline_since(yard: Yard) -> None:
    things = await yard.things()
    body, key = {"name": "one", **things}, {"Idempotency-Key": "k1"}
    first, second = await asyncio.gather(*(yard.alice.post("/jobs", json=body, headers=key) for _ in range(2)))
    assert first.json()["id"] == second.json()["id"]
    await yard.owners.dataset_offline(things["dataset_id"])
    await yard.quiet()
    third = await yard.alice.post("/jobs", json=body, headers=key)
    assert (third.status_code, third.json()) == (201, first.json())
    assert len((await yard.get("/jobs"))["items"]) == 1
    other = await yard.alice.post("/jobs", json={**body, "name": "two"}, headers=key)
    assert other.json()["code"] == "idempotency_key_reused"


@pytest.mark.row("T9")
async def test_devices_are_shown_with_who_has_them(tmp_path) -> None:
    async with open_yard(tmp_path, shown=[gpus(2)]) as yard:
        things = await yard.things(training={"devices": ("cpu", "gpu")})
        job = await yard.job(**things)
        attempt = await yard.running(job["id"])
        assert yard.runtime.workloads[attempt].spec.devices == ("gpu-0",)
        (node,) = (await yard.get("/nodes"))["items"]
        assert [(d["id"], d["busy"], d["allocation"]) for d in node["devices"]] == [
            ("gpu-0", True, f"alloc-{attempt}"),
            ("gpu-1", False, None),
        ]
        assert node["devices"][0]["simulated"] is True
        (theirs,) = (await yard.client("bob").get("/nodes")).json()["items"]
        assert (theirs["devices"][0]["busy"], theirs["devices"][0]["allocation"]) == (True, None)
        mine = (await yard.get("/allocations?state=granted"))["items"]
        assert mine[0]["placements"] == [{"node": "one", "devices": ["gpu-0"], "simulated": True}]
        refused = await yard.alice.post("/jobs", json={"name": "x", **things, "resources": {"spec": "large"}})
        assert refused.json()["largest"]["count"] == 2
