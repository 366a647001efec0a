"""Jobs and replicas hold exactly their devices, and share them: several at once, gangs, giving way and going on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.steps import PATIENCE, online_images, published, started, stopped, succeeded
from tests.support import process
from tests.support.devices import telling_algorithm
from tests.support.process import PlatformProcess, until
from yard import Client

NODES = """
clusters:
  hall:
    nodes:
      - {name: "rack-[1-2]", cpu: 8, memory: 16Gi, devices: [{kind: gpu, count: 2, simulated: true}]}
"""

Held = set[tuple[str, str]]


@pytest.fixture(scope="module")
def platform(engine: Path, folder: Path) -> Iterator[PlatformProcess]:
    """Two nodes of two simulated GPUs each, whose workloads all run on this machine."""
    nodes = folder / "nodes.yaml"
    nodes.write_text(NODES)
    settings: dict[str, Any] = {"YARD_INVENTORY_URL": f"file:{nodes}", "TRAIN_MIN_RUN_SECONDS": "0"}
    with process.platform(**settings) as running:
        yield running


@pytest.fixture(scope="module")
def things(alice: Client, folder: Path) -> dict[str, Any]:
    algorithm = telling_algorithm(alice, folder)
    return {"algorithm_id": algorithm["id"], "dataset_id": online_images(alice, folder)["id"]}


def run(alice: Client, things: dict[str, Any], steps: int, count: int = 1, nodes: int = 1, **more: Any) -> Any:
    resources = {"cpu": 0.5, "accelerator": "gpu", "count": count, "nodes": nodes}
    return alice.jobs.create("told", **things, parameters={"steps": steps}, resources=resources, **more)


def log_with(alice: Client, job: Any, words: str, attempt: int | None = None, member: int | None = None) -> str:
    """The log, once these words are in it."""

    def written() -> str | None:
        if attempt is not None and alice.jobs.show(job["id"])["attempt"] < attempt:
            return None
        text = alice.jobs.log(job["id"], attempt=attempt, member=member)["text"]
        return text if words in text else None

    return until(written, PATIENCE, lambda: f"no {words!r}: {alice.jobs.show(job['id'])}")


def held(alice: Client, job: Any, attempt: int) -> Held:
    """Which devices of which node the ledger gave an attempt, by member checked against what the member printed."""
    (one,) = (one for one in alice.jobs.attempts(job["id"]) if one["number"] == attempt)
    for member, placement in enumerate(one["placements"]):
        text = log_with(alice, job, "begins at", attempt, member)
        (said,) = re.findall(r"devices ([0-9,]*) of", text)
        assert said == ",".join(device.removeprefix("gpu-") for device in placement["devices"])
    return {(placement["node"], device) for placement in one["placements"] for device in placement["devices"]}


@pytest.mark.row("T9", "T19")
def test_workloads_hold_exactly_their_devices_give_way_and_go_on(
    alice: Client, things: dict[str, Any], platform: PlatformProcess
) -> None:
    small = run(alice, things, steps=1)
    model = succeeded(alice, small)
    service = started(alice, published(alice, model, "devices"), 1)

    # two jobs and a replica at once
    first, second = (run(alice, things, steps=500) for _ in range(2))
    for job in (first, second):
        log_with(alice, job, "begins at")
    a, b = held(alice, first, 1), held(alice, second, 1)
    answer = alice.services.call(service, {}).json()
    replica = {f"gpu-{number}" for number in answer["devices"].split(",")}
    nodes = alice.nodes.list()
    devices = [(node["name"], device) for node in nodes for device in node["devices"]]
    assert all(device["simulated"] for _, device in devices), "it shows that they are no real ones"
    busy = {(name, device["id"]) for name, device in devices if device["busy"]}
    theirs = busy - a - b
    assert (len(a), len(b), len(busy)) == (1, 1, 3), "none of them holds what another does"
    assert {device for _, device in theirs} == replica

    # a more urgent gang over both nodes: who must give way is told, writes its checkpoint, and comes back
    gang = run(alice, things, steps=2, count=1, nodes=2, priority=500)
    done = succeeded(alice, gang)
    assert done["attempt"] == 1
    assert "met 1" in log_with(alice, gang, "met")
    members = held(alice, gang, 1)
    assert len({name for name, _ in members}) == 2
    assert not members & theirs, "the replica does not give way"
    displaced = [job for job in (first, second) if alice.jobs.show(job["id"])["attempt"] == 2]
    (gone,) = displaced or [None]
    assert gone is not None, "one had to give way, and no more than one"
    told = log_with(alice, gone, "gives way", attempt=1)
    assert "gives way: preempted" in told
    reached = int(re.findall(r"step (\d+)", told)[-1])
    assert reached > 0
    assert f"begins at {reached}" in log_with(alice, gone, "begins at", attempt=2)
    history = {one["number"]: one["reason"] for one in alice.jobs.attempts(gone["id"])}
    assert history[1] == "preempted"
    for job in (first, second):
        assert succeeded(alice, job)["reason"] == "completed"
    stopped(alice, service)
