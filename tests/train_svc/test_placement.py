"""Where work is put, as people ask for it through the API; and what others' schedulers did to work that was well."""

from __future__ import annotations

from typing import Any

import pytest

from common.contracts.allocation import AllocationReleased, AllocationRequested
from common.contracts.shared import Resources
from common.ports.inventory import Device, Node
from tests.train_svc.conftest import Yard, eventually, gpus
from train_svc.nodes import oversee

pytestmark = pytest.mark.row("T9", "T19")


def rack(name: str, domain: str, *, model: str = "A100", cluster: str = "hall-a", kind: str = "gpu") -> Node:
    """A node with two devices, in an interconnect domain."""
    resource = "amd.com/gpu" if kind == "rocm" else ""
    devices = tuple(Device(f"{kind}-{n}", kind, model, simulated=True, resource=resource) for n in range(2))
    return Node(name, 8, 64 << 30, devices, {"rack": domain}, cluster=cluster, domain=domain, simulated=True)


async def nodes(yard: Yard, *items: Node) -> None:
    yard.nodes.items[:] = items
    await oversee(yard.context, None)


async def placed(yard: Yard, **resources: Any) -> list[str]:
    """The nodes on which a job with these resources runs."""
    things = await yard.things(training={"devices": ("cpu", "gpu", "rocm")})
    job = (await yard.job(**things, resources=resources))["id"]
    await yard.running(job)
    (attempt,) = (await yard.get(f"/jobs/{job}/attempts"))["items"]
    return sorted(place["node"] for place in attempt["placements"])


async def test_a_gang_is_put_into_one_interconnect_domain(yard: Yard) -> None:
    await nodes(yard, rack("a1", "ib-1"), rack("b1", "ib-2"), rack("b2", "ib-2"), rack("a2", "ib-3"))
    assert await placed(yard, accelerator="gpu", count=2, nodes=2) == ["b1", "b2"]
    assert await placed(yard, accelerator="gpu", count=2, nodes=2) == ["a1", "a2"], "where no domain has room, over two"


async def test_labels_clusters_and_models_are_kept_to(yard: Yard) -> None:
    lab = rack("l1", "ib-9", cluster="lab", model="H200")
    await nodes(yard, rack("a1", "ib-1"), rack("b1", "ib-2"), lab)
    assert await placed(yard, accelerator="gpu", count=1, selectors={"rack": "ib-2"}) == ["b1"]
    assert await placed(yard, accelerator="gpu", count=1, cluster="lab") == ["l1"]
    assert await placed(yard, accelerator="nvidia.com/gpu", count=1, model="H200") == ["l1"]
    things = await yard.things(training={"devices": ("cpu", "gpu")})
    nowhere = {"accelerator": "gpu", "count": 1, "selectors": {"rack": "ib-7"}}
    refused = await yard.alice.post("/jobs", json={"name": "x", **things, "resources": nowhere})
    assert refused.json()["code"] == "never_fits"


async def test_an_accelerator_of_any_vendor_is_asked_for_by_either_name(yard: Yard) -> None:
    await nodes(yard, rack("a1", "ib-1"), rack("r1", "ib-2", kind="rocm", model="MI300X"))
    assert await placed(yard, accelerator="amd.com/gpu", count=1) == ["r1"]
    assert await placed(yard, accelerator="rocm", count=1, model="MI300X") == ["r1"]


async def test_replicas_that_are_to_be_apart_share_no_node(yard: Yard) -> None:
    await nodes(yard, rack("a1", "ib-1"), rack("b1", "ib-2"))
    asked = {"kind": "replica", "owner": "alice", "resources": Resources(accelerator="gpu", count=1)}
    for number in range(3):
        ask = AllocationRequested(id=f"alloc-r{number}", workload=f"rep-{number}", anti_affinity="svc-1", **asked)
        await yard.owners.datasets.tell(ask)

    async def there() -> Any:
        found = [await yard.alice.get(f"/allocations/alloc-r{number}") for number in range(3)]
        return [answer.json() for answer in found] if all(answer.is_success for answer in found) else None

    states = [(one["state"], [place["node"] for place in one["placements"]]) for one in await eventually(there)]
    held = (await yard.get("/allocations/alloc-r0"))["placements"]
    assert [place["simulated"] for place in held] == [True], "what is simulated says so wherever it shows"
    assert sorted(states[:2]) == [("granted", ["a1"]), ("granted", ["b1"])]
    assert states[2] == ("waiting", []), "two GPUs are free, but each of the nodes has one of the service"
    await yard.owners.datasets.tell(AllocationReleased(id="alloc-r0", workload="rep-0"))

    async def granted() -> bool:
        return bool((await yard.get("/allocations/alloc-r2"))["state"] == "granted")

    await eventually(granted)


async def test_a_healthy_job_whose_state_cannot_be_read_is_left_alone(yard: Yard) -> None:
    """Others' controllers took "unknown" for "gone": a second copy was started, or the devices given away."""
    await nodes(yard, gpus(1, "a"))
    things = await yard.things(training={"devices": ("cpu", "gpu")})
    job = (await yard.job(**things, resources={"accelerator": "gpu", "count": 1}))["id"]
    attempt = await yard.running(job)
    yard.runtime.unseen = True
    waits = (await yard.job(**things, resources={"accelerator": "gpu", "count": 1}))["id"]
    for _ in range(3):
        await oversee(yard.context, None)
        yard.context.workloads.wake(attempt)
        await yard.quiet()
    shown = await yard.get(f"/jobs/{job}")
    assert (shown["state"], shown["attempt"], yard.runtime.started) == ("running", 1, [attempt])
    assert (await yard.get(f"/jobs/{waits}"))["state"] == "queued"
    yard.runtime.unseen = False
    yard.runtime.ends(attempt)
    await yard.until(job, "succeeded")
    await yard.running(waits)


async def test_a_gang_whose_node_was_lost_ends_whole_and_begins_whole_again(yard: Yard) -> None:
    """Others' gangs stayed below their minimum when a node came back, half of them running for ever."""
    yard.context.settings.node_grace_seconds = 0
    both = [rack("a1", "ib-1"), rack("a2", "ib-1")]
    await nodes(yard, *both)
    things = await yard.things(training={"devices": ("cpu", "gpu")})
    job = (await yard.job(**things, resources={"accelerator": "gpu", "count": 2, "nodes": 2}))["id"]
    first = await yard.running(job)
    await nodes(yard, both[0])
    shown = await yard.until(job, "failed")
    assert shown["reason"] == "device_lost"
    await nodes(yard, *both)
    await yard.quiet()
    assert first not in yard.runtime.workloads, "no member of it is left"
    assert f"{first}-m1" not in yard.runtime.workloads
    await yard.alice.post(f"/jobs/{job}/start")
    again = await yard.running(job)
    assert sorted(yard.runtime.workloads) == [again, f"{again}-m1"]
