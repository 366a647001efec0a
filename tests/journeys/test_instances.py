"""Services in processes of their own: what each tells, and two instances of one, of which either may end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.steps import PATIENCE, PROCESSES, online_images, succeeded
from tests.support.algorithms import Bell, slow_algorithm
from tests.support.cluster import SERVICES, Cluster, Member
from tests.support.process import until
from yard import Client

ON = (PROCESSES,)
LINES = 80
SECONDS = 8.0

LISTED = (
    "modelyard_request_seconds",
    "modelyard_events_emitted_total",
    "modelyard_events_handled_total",
    "modelyard_outbox_rows",
    "modelyard_outbox_age_seconds",
    "modelyard_inbox_retries",
    "modelyard_dead_letters",
    "modelyard_queue_depth",
    "modelyard_queue_dead_letters",
    "modelyard_queue_waiting",
    "modelyard_devices",
    "modelyard_devices_in_use",
    "modelyard_dependency_up",
)
"""What train-svc tells operators: requests, events by type, outbox age, retries, dead letters, depth, device use."""

HOLDERS = "SELECT holder FROM leases WHERE name = 'workloads' AND expires_at > extract(epoch from clock_timestamp())"
"""Each loop has a lease of its own, and of two instances either may have some: this test follows one."""


@pytest.fixture(scope="module")
def second(processes: Cluster) -> Iterator[Member]:
    """One more instance, for this module."""
    member = processes.add("train-svc")
    member.launch()
    member.wait_until_ready()
    yield member
    member.stop()
    processes.members["train-svc"].remove(member)
    processes.start_again()


@pytest.mark.row("P5", "P6")
@pytest.mark.parametrize("service", SERVICES)
def test_each_tells_how_it_is(platform: Cluster, service: str) -> None:
    member = platform.member(service)
    assert member.ask("/healthz") == (200, '{"status":"ok"}')
    until(lambda: member.ask("/readyz")[0] == 200, PATIENCE, lambda: member.ask("/readyz")[1])
    told = member.ask("/readyz")[1]
    assert ('"database":"ok"' in told, '"bus":"ok"' in told) == (True, True)
    assert member.ask("/metrics")[0] == 404
    status, figures = member.ask("/metrics", operator=True)
    assert (status, f'modelyard_outbox_rows{{service="{service}"}}' in figures) == (200, True)


def holders(platform: Cluster) -> set[str]:
    return {name for (name,) in platform.rows("train-svc", HOLDERS)}


def holds(member: Member, platform: Cluster) -> bool:
    """Whether it is the one whose name stands in its log."""
    log = member.log.read_text(errors="replace")
    return any(name in log for name in holders(platform))


def running(alice: Client, algorithm: Any, dataset: Any, job: Any) -> Any:
    until(lambda: "line 1 of" in alice.jobs.log(job["id"])["text"], PATIENCE)
    return job


@pytest.mark.row("P6", "T12", "T13")
def test_what_one_held_the_other_takes(
    platform: Cluster, second: Member, alice: Client, folder: Path, rings: Bell
) -> None:
    both = (platform.member("train-svc"), second)
    dataset, algorithm = online_images(alice, folder), slow_algorithm(alice, folder)
    job = alice.jobs.create(
        "goes on",
        algorithm_id=algorithm["id"],
        dataset_id=dataset["id"],
        parameters={"lines": LINES, "seconds": SECONDS, "until": rings.path},
    )
    until(lambda: alice.jobs.show(job["id"])["state"] == "running", PATIENCE)
    for one in both:
        with platform.client_of(one) as client:
            assert client.get(f"jobs/{job['id']}").json()["state"] == "running"
    first = platform.member("train-svc")  # the only one that the gateway knows
    if not holds(first, platform):
        second.stop()
        until(lambda: holds(first, platform), PATIENCE, lambda: "the first doesn't take what is given up")
        second.launch()
        second.wait_until_ready()
    [before] = holders(platform)

    with ThreadPoolExecutor(1) as beside:
        followed = beside.submit(lambda: "".join(alice.jobs.follow_log(job["id"])))
        until(lambda: "line 2 of" in alice.jobs.log(job["id"])["text"], PATIENCE)
        assert first.stop() == 0, "told to stop, it ends well although a stream is open"
        [after] = until(lambda: holders(platform) - {before}, PATIENCE, lambda: "the leases were not given up")
        assert after != before
        first.launch()
        first.wait_until_ready()

        second.kill()
        until(lambda: holders(platform) - {before, after}, PATIENCE, lambda: "nobody took what the dead one held")
        rings.ring()
        done = succeeded(alice, job)
        assert done["attempt"] == 1
        text = followed.result(PATIENCE)
    assert [line for line in text.splitlines() if line.startswith("line ")] == [
        line for line in alice.jobs.log(job["id"])["text"].splitlines() if line.startswith("line ")
    ]
    assert text.count("line ") == LINES
    assert holders(platform).isdisjoint({before, after})
    second.launch()
    second.wait_until_ready()

    figures = first.ask("/metrics", operator=True)[1]
    assert 'modelyard_events_emitted_total{service="train-svc",type="job.succeeded"} 1.0' in figures
    asked = 'modelyard_request_seconds_count{method="GET",route="/jobs/{job_id}",service="train-svc",status="200"}'
    assert asked in figures
    assert 'modelyard_queue_waiting{kind="job",queue="default"} 0.0' in figures
    assert {name for name in LISTED if f"# TYPE {name} " not in figures} == set()
    assert 'modelyard_queue_depth{handler="on_dataset_known",service="train-svc"} 0.0' in figures
    through = platform.member("gateway").ask("/metrics", operator=True)[1]
    assert 'modelyard_request_seconds_count{method="GET",route="/jobs",service="gateway",status="200"}' in through
