"""Nodes: what administrators say of them holds and outlives restarts, and what is lost is revoked and then free."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from common.contracts.allocation import AllocationRequested
from common.contracts.shared import Resources
from common.ports.inventory import Device, Node
from tests.train_svc.conftest import Yard, gpus, open_yard
from train_svc import nodes
from train_svc.context import Context

pytestmark = pytest.mark.row("T9")

RACK = [gpus(2, "a"), gpus(2, "b")]


async def held(yard: Yard, name: str, on: str | None = None, **resources: Any) -> dict[str, Any]:
    """A replica's allocation once it was asked for, on one node where that is said."""
    asked = Resources(**{"accelerator": "gpu", "count": 1, "selectors": {"on": on} if on else {}, **resources})
    ask = AllocationRequested(id=name, workload=f"w-{name}", kind="replica", owner="alice", resources=asked)
    async with yard.context.kit.store.work() as uow:
        await yard.context.ledger.submit(uow, ask)
    return await allocation(yard, name)


async def allocation(yard: Yard, name: str) -> dict[str, Any]:
    found: dict[str, Any] = await yard.get(f"/allocations/{name}")
    return found


async def shown(yard: Yard, *items: Node) -> None:
    """The inventory shows these from now on, and somebody looked."""
    yard.nodes.items = [Node(**{**one.__dict__, "labels": {**one.labels, "on": one.name}}) for one in items]
    await nodes.oversee(yard.context, None)


async def admin(yard: Yard, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = await yard.client("admin").post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_cordoned_node_takes_nothing_new_and_stays_so(tmp_path: Path) -> None:
    async with open_yard(tmp_path) as yard:
        await shown(yard, *RACK)
        assert (await held(yard, "alloc-1", "a"))["state"] == "granted"
        node = await admin(yard, "/nodes/a/cordon", reason="fan is loud")
        assert (node["state"], node["reason"], node["by"]) == ("cordoned", "fan is loud", "admin")
        assert node["since"] is not None
        assert (await held(yard, "alloc-2", "a"))["state"] == "waiting"
        assert (await allocation(yard, "alloc-1"))["state"] == "granted"
    async with open_yard(tmp_path) as yard:
        await shown(yard, *RACK)
        assert (await yard.get("/nodes/a"))["state"] == "cordoned"
        assert (await allocation(yard, "alloc-2"))["state"] == "waiting"
        assert (await admin(yard, "/nodes/a/uncordon"))["state"] == "ready"
        assert (await allocation(yard, "alloc-2"))["state"] == "granted"
        assert (await yard.alice.post("/nodes/a/cordon")).status_code == 403
        assert (await admin(yard, "/nodes/z/cordon", 404))["code"] == "node_not_found"


async def test_what_is_on_a_drained_node_is_asked_to_end(yard: Yard) -> None:
    await shown(yard, *RACK)
    await held(yard, "alloc-1", "a")
    await held(yard, "alloc-2", "b")
    node = await admin(yard, "/nodes/a/drain", reason="new disk", grace_seconds=7)
    assert node["state"] == "draining"
    assert (await allocation(yard, "alloc-1"))["state"] == "preempting"
    assert (await allocation(yard, "alloc-2"))["state"] == "granted"
    (told,) = await yard.events("allocation.preempting")
    assert (told["data"]["id"], told["data"]["grace"]) == ("alloc-1", 7)
    assert "The node a is drained: new disk" in told["data"]["reason"]
    await nodes.oversee(yard.context, None)
    assert len(await yard.events("allocation.preempting")) == 1
    bad = await admin(yard, "/nodes/a/drain", 422, grace_seconds=-1, why="x")
    assert len(bad["faults"]) == 2


async def test_a_lost_node_revokes_and_is_free_once_it_is_fenced(tmp_path: Path) -> None:
    async with open_yard(tmp_path, node_grace_seconds=0) as yard:
        await shown(yard, *RACK)
        await held(yard, "alloc-1", "a")
        refused = await admin(yard, "/nodes/a/fence", 409)
        assert refused["code"] == "node_not_lost"
        await shown(yard, RACK[1])
        lost = await allocation(yard, "alloc-1")
        assert (lost["state"], "The node a is lost" in lost["detail"]) == ("revoked", True)
        node = await yard.get("/nodes/a")
        assert (node["state"], [device["busy"] for device in node["devices"]]) == ("lost", [True, False])
        await nodes.oversee(yard.context, None)
        assert len(await yard.events("allocation.revoked")) == 1
        await admin(yard, "/nodes/a/fence")
        assert (await allocation(yard, "alloc-1"))["state"] == "released"
        await nodes.oversee(yard.context, None)
        await yard.get("/nodes/a", 404)
        await shown(yard, *RACK)
        assert (await held(yard, "alloc-2", "a"))["state"] == "granted"


async def test_a_look_that_was_under_way_undoes_no_cordon(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found as a request refused for ever: what was read before a change was planned by after it."""
    reads, goes_on = asyncio.Event(), asyncio.Event()

    async def slowly(_connection: object) -> None:
        if asyncio.current_task() is first:
            reads.set()
            await goes_on.wait()

    monkeypatch.setattr(yard.context.specs, "refresh", slowly)
    async with asyncio.TaskGroup() as both:
        first = both.create_task(nodes.look(yard.context))
        await reads.wait()
        cordoned = both.create_task(nodes.cordon(yard.context, "one", "fan is loud", "admin"))
        await asyncio.wait([cordoned], timeout=0.2)  # as far as it gets beside the first look
        goes_on.set()
    assert yard.context.ledger.machines.planned["one"].cordoned


async def test_what_the_inventory_showed_before_is_not_written_over_what_it_shows_now(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two look at it at once; the one that asked first is slower."""
    asked, goes_on, differs = asyncio.Event(), asyncio.Event(), nodes._differs

    async def slowly(context: Context, seen: Sequence[Node]) -> bool:
        if asyncio.current_task() is first:
            asked.set()
            await goes_on.wait()
        return await differs(context, seen)

    monkeypatch.setattr(nodes, "_differs", slowly)
    async with asyncio.TaskGroup() as both:
        first = both.create_task(nodes.oversee(yard.context, None))
        await asked.wait()
        yard.nodes.items = list(RACK)
        second = both.create_task(nodes.oversee(yard.context, None))
        await asyncio.wait([second], timeout=0.2)  # as far as it gets beside the first
        goes_on.set()
    listed = {node["name"]: node["state"] for node in (await yard.get("/nodes"))["items"]}
    assert {listed[node.name] for node in RACK} == {"ready"}


async def test_a_lost_device_revokes_who_holds_it_and_nobody_else(tmp_path: Path) -> None:
    async with open_yard(tmp_path, node_grace_seconds=0) as yard:
        await shown(yard, gpus(2, "a"))
        first, second = await held(yard, "alloc-1"), await held(yard, "alloc-2")
        assert [one["placements"][0]["devices"] for one in (first, second)] == [["gpu-0"], ["gpu-1"]]
        broken = Node("a", 8, 64 << 30, (Device("gpu-1", "gpu", "A100", 80 << 30, simulated=True),))
        await shown(yard, broken)
        assert (await allocation(yard, "alloc-1"))["state"] == "revoked"
        assert (await allocation(yard, "alloc-2"))["state"] == "granted"
        devices = {device["id"]: device for device in (await yard.get("/nodes/a"))["devices"]}
        assert (devices["gpu-0"]["lost"], devices["gpu-1"]["lost"]) == (True, False)
        assert (await held(yard, "alloc-3"))["state"] == "waiting"
        async with yard.context.kit.store.work() as uow:
            await yard.context.ledger.free(uow, "alloc-1", "w-alloc-1", "replica", "alice")
        await nodes.oversee(yard.context, None)
        assert [device["id"] for device in (await yard.get("/nodes/a"))["devices"]] == ["gpu-1"]
        assert (await allocation(yard, "alloc-3"))["state"] == "waiting", "the lost device is given to nobody"


async def test_a_node_that_is_missing_for_a_moment_loses_nothing(yard: Yard) -> None:
    await shown(yard, *RACK)
    await held(yard, "alloc-1", "a")
    await shown(yard, RACK[1])
    assert (await yard.get("/nodes/a"))["state"] == "missing"
    assert (await allocation(yard, "alloc-1"))["state"] == "granted"
    assert (await held(yard, "alloc-2", "a"))["state"] == "waiting"
    await shown(yard, *RACK)
    assert (await yard.get("/nodes/a"))["state"] == "ready"
    assert (await allocation(yard, "alloc-2"))["state"] == "granted"


async def test_nodes_are_listed_by_cluster_state_and_label(yard: Yard) -> None:
    north = Node("n", 4, 1 << 30, (), {"site": "north"}, cluster="hall-a", domain="ib-1", simulated=True)
    await shown(yard, gpus(1, "a"), north)

    async def names(query: str) -> list[str]:
        return [node["name"] for node in (await yard.get(f"/nodes{query}"))["items"]]

    assert await names("?state=ready") == ["a", "n"]
    assert await names("") == ["a", "n", "one"]
    assert await names("?cluster=hall-a") == await names("?label=site=north") == ["n"]
    assert await names("?state=lost") == await names("?label=site=south") == []
    assert (await yard.get("/nodes?label=site", 400))["code"] == "bad_label"
    node = await yard.get("/nodes/n")
    assert (node["domain"], node["simulated"], node["cluster"]) == ("ib-1", True, "hall-a")
    (device,) = (await yard.get("/nodes/a"))["devices"]
    assert (device["resource"], device["simulated"]) == ("nvidia.com/gpu", True)


async def test_who_is_on_a_drained_node_may_be_replaced_before_it_ends(yard: Yard) -> None:
    """Nobody waits for what it holds: that is told, so that a service need not be away in between."""
    await shown(yard, *RACK)
    await held(yard, "alloc-1", "a")
    await admin(yard, "/nodes/a/drain")
    (told,) = await yard.events("allocation.preempting")
    assert told["data"]["moving"] is True
    assert (await held(yard, "alloc-2"))["placements"][0]["node"] == "b", "its replacement begins elsewhere at once"
