"""The thin path: a job is accepted, runs, succeeds, and its model becomes a service."""

from __future__ import annotations

import json

import pytest

from tests.train_svc.conftest import Yard


@pytest.mark.row("T1", "T3", "T5", "M1", "M4", "M5", "M6")
async def test_from_a_job_to_a_published_model(yard: Yard) -> None:
    things = await yard.things()
    body = {"name": "第一", **things, "split": {"ratio": 0.75, "seed": 7}, "parameters": {"epochs": 5}}
    made = (await yard.alice.post("/jobs", json=body)).json()
    assert made["state"] == "preparing"
    assert "CPU" in made["note"]
    attempt = await yard.running(made["id"])
    evaluation = json.dumps({"accuracy": 0.97}).encode()
    yard.runtime.says(attempt, b"hello\n", b'{"step": 1, "accuracy": 0.97}\n', model=b"weights")
    yard.runtime.workloads[attempt].files["results"]["evaluation.json"] = evaluation
    yard.runtime.ends(attempt)

    job = await yard.until(made["id"], "succeeded")
    assert job["reason"] == "completed"
    assert job["evaluation"] == {"accuracy": 0.97}
    assert job["metrics"] == {"accuracy": 0.97}
    assert job["split"] == {"ratio": 0.75, "seed": 7}
    assert job["parameters"] == {"epochs": 5, "rate": 0.1, "color": "gray", "shuffle": True}
    model = await yard.get(f"/models/{job['model_id']}")
    assert model["job_id"] == job["id"]
    assert model["lineage"]["dataset_digest"] == job["dataset"]["digest"]
    assert model["lineage"]["algorithm_revision"] == 3
    assert {file["path"] for file in (await yard.get(f"/models/{model['id']}/files"))["items"]} == {
        "evaluation.json",
        "model",
    }

    answer = await yard.alice.post(f"/models/{model['id']}/publish", json={"service_name": "识别"})
    assert answer.status_code == 202
    published = answer.json()
    assert published["services"] == [published["service_id"]]
    (event,) = await yard.events("model.published")
    assert event["data"]["service_id"] == published["service_id"]
    assert event["data"]["inference"]["interface"]["path"] == "/predict"
    told = [event["type"] for event in await yard.events()]
    for earlier, later in [("job.queued", "job.started"), ("job.started", "job.succeeded")]:
        assert told.index(earlier) < told.index(later)
    assert told.count("allocation.granted") == 1
