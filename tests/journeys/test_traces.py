"""A caller's trace goes through the gateway, the outboxes and the bus to whoever acts on it (W3C Trace Context)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.steps import PATIENCE, online_images, succeeded
from tests.support.algorithms import slow_algorithm
from tests.support.process import PlatformProcess, until
from yard import Client


def told(platform: PlatformProcess, service: str, trace: str) -> dict[str, str]:
    """What a service told in that trace: event type to the `traceparent` it carries."""
    payloads = [json.loads(row) for (row,) in platform.rows(service, "SELECT payload FROM outbox ORDER BY id")]
    return {one["type"]: one["traceparent"] for one in payloads if trace in one.get("traceparent", "")}


def traced(alice: Client, at: str, body: Any, trace: str) -> Any:
    parent = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    answer = alice.http.send("POST", at, json=body, headers=parent)
    assert answer.headers["x-trace-id"] == trace
    return answer.json() if answer.content else None


@pytest.mark.row("P6")
def test_a_trace_goes_from_the_gateway_to_the_services(platform: PlatformProcess, alice: Client, folder: Path) -> None:
    dataset, algorithm = online_images(alice, folder), slow_algorithm(alice, folder)
    first, second = "1" * 32, "2" * 32
    body = {"name": "traced", "algorithm_id": algorithm["id"], "dataset_id": dataset["id"]}
    job = traced(alice, "jobs", body, first)
    done = succeeded(alice, job)
    events = told(platform, "train-svc", first)
    assert {"job.queued", "allocation.granted"} <= events.keys()
    assert all(parent.split("-")[2] != "00f067aa0ba902b7" for parent in events.values()), "each span is a new one"

    model = traced(alice, f"models/{done['model_id']}/publish", {"service_name": "traced"}, second)
    alice.services.wait_for(model["service_id"], timeout=PATIENCE)
    assert "model.published" in told(platform, "train-svc", second)
    created = until(lambda: told(platform, "serving-svc", second).get("service.created"), PATIENCE)
    assert created.split("-")[1] == second, "the reaction of serving-svc is part of the caller's trace"
