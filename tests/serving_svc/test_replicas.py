"""Replicas that die, fall ill, never come up or wait; restarts; logs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from common.contracts.shared import Resources
from common.kernel.errors import Problem
from common.web.identity import Principal
from tests.serving_svc.support import QUICK, Ledger, Replicas, Yard, yard


async def started(house: Yard, replicas: int = 1) -> str:
    service = await house.publish()
    await house.act(service, "start", replicas=replicas)
    return service


@pytest.mark.row("S6")
async def test_only_those_that_answer_are_routed_to(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        house.replicas.default = 503
        service = await started(house, 2)
        await house.launched(2)
        seen = await house.show(service)
        assert (seen["state"], seen["ready"]) == ("starting", 0)
        first, second = house.replicas.started
        house.replicas.health[first] = 200
        seen = await house.reach(service, "running", ready=1)
        assert (await house.events(service))[-1][0] == "service.started"
        assert "does not answer yet" in seen["detail"]
        assert second in seen["detail"]
        house.replicas.health[second] = 200
        assert (await house.reach(service, "running", ready=2))["detail"] == ""
        kind, told = (await house.events(service))[-1]
        assert kind == "service.changed"
        assert {e["replica"] for e in told["endpoints"]} == {first, second}


@pytest.mark.row("S14")
async def test_a_replica_that_dies_is_replaced(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await started(house, 2)
        await house.reach(service, "running", ready=2)
        dead = house.replicas.started[0]
        house.replicas.says(dead, log=b"Traceback\nMemoryError\n")
        house.replicas.ends(dead, 1)
        await house.launched(3)
        await house.reach(service, "running", ready=2)

        async def collected() -> bool:
            return any(one["id"] == dead and one["state"] == "ended" for one in await house.listed(service))

        await house.until(collected)
        [one] = [one for one in await house.listed(service) if one["id"] == dead]
        assert (one["reason"], one["exit_code"]) == ("exit_code", 1)
        assert one["last_lines"].endswith("MemoryError\n")
        log = await house.alice.get(f"/services/{service}/replicas/{dead}/log?offset=10")
        assert (log.text, log.headers["x-next-offset"]) == ("MemoryError\n", "22")
        alive = house.replicas.started[1]
        house.replicas.says(alive, log=b"serving\n")
        assert (await house.alice.get(f"/services/{service}/replicas/{alive}/log")).text == "serving\n"
        assert (await house.alice.get(f"/services/{service}/replicas/rep-9/log")).status_code == 404


@pytest.mark.row("S14")
async def test_a_replica_that_falls_ill_is_replaced(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await started(house, 2)
        await house.reach(service, "running", ready=2)
        ill = house.replicas.started[0]
        house.replicas.health[ill] = 500
        await house.launched(3)
        await house.reach(service, "running", ready=2)
        told = [{e["replica"] for e in data["endpoints"]} for _, data in await house.events(service)]
        assert ill not in told[-1]
        [one] = [one for one in await house.listed(service) if one["id"] == ill]
        assert "fell ill: /health answered 500" in one["detail"]


async def test_one_failed_probe_is_no_illness(tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"unready_after": 3, "replace_after": 50})
    async with yard(tmp_path / "home", settings=settings) as house:
        service = await started(house, 1)
        await house.reach(service, "running", ready=1)
        before = len(await house.events(service))
        [replica] = house.replicas.started
        house.replicas.health[replica] = 500
        await house.reach(service, "starting", ready=0)
        house.replicas.health[replica] = 200
        await house.reach(service, "running", ready=1)
        assert house.replicas.started == [replica]
        assert [kind for kind, _ in (await house.events(service))[before:]] == ["service.changed", "service.started"]


@pytest.mark.row("S14")
async def test_what_keeps_dying_fails_and_says_why(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        house.replicas.default = 503
        service = await started(house, 2)
        for number in range(1, 4):
            await house.launched(number)
            house.replicas.ends(house.replicas.started[number - 1], 1)
        failed = await house.reach(service, "failed")
        assert "ended with exit code 1" in failed["detail"]
        assert failed["retry_at"] is not None
        scaled = await house.act(service, "scale", replicas=1)
        assert scaled.json()["state"] == "failed"
        house.replicas.default = 200
        recovered = await house.reach(service, "running", ready=1)
        assert recovered["detail"] == "", "it is tried again, and what helps is seen"


async def test_a_failed_service_can_be_stopped(tmp_path: Path) -> None:
    patient = QUICK.model_copy(update={"retry_longest": 300, "retry_first": 300})
    async with yard(tmp_path / "home", settings=patient) as house:
        house.replicas.refusing = Problem("launch_failed", "There is no program python.")
        service = await started(house)
        failed = await house.reach(service, "failed")
        assert "There is no program python" in failed["detail"]
        await house.act(service, "stop")
        await house.reach(service, "stopped")
        await house.all_released()


async def test_what_can_never_fit_fails_with_the_ledgers_reason(tmp_path: Path) -> None:
    async with yard(tmp_path / "home", ledger=Ledger(refuse=True)) as house:
        service = await started(house)
        assert "It never fits." in (await house.reach(service, "failed"))["detail"]


async def test_what_waits_for_capacity_says_so_and_gives_up_its_place_when_stopped(tmp_path: Path) -> None:
    async with yard(tmp_path / "home", ledger=Ledger(room=1)) as house:
        service = await started(house, 2)
        seen = await house.reach(service, "running", ready=1)
        assert "waits for capacity" in seen["detail"]
        states = sorted(one["state"] for one in await house.listed(service))
        assert states == ["ready", "waiting"]
        await house.act(service, "scale", replicas=1)

        async def gone() -> bool:
            return [one["state"] for one in await house.listed(service) if one["state"] != "ended"] == ["ready"]

        await house.until(gone)
        assert len(house.replicas.started) == 1


async def test_one_that_never_answers_is_replaced_in_time(tmp_path: Path) -> None:
    async with yard(tmp_path / "home", settings=QUICK.model_copy(update={"start_seconds": 0.1})) as house:
        house.replicas.default = 503
        service = await started(house)
        seen = await house.reach(service, "failed")
        assert "not ready 0.1 s after its start" in seen["detail"]
        assert len(house.replicas.started) >= 3


@pytest.mark.row("S9")
async def test_a_restart_adopts_what_runs_and_keeps_the_routes(tmp_path: Path) -> None:
    replicas, ledger = Replicas(), Ledger()
    async with yard(tmp_path / "home", replicas, ledger) as house:
        service = await started(house, 2)
        await house.reach(service, "running", ready=2)
        told = len(await house.events(service))
        version = (await house.show(service))["version"]
    async with yard(tmp_path / "home", replicas, ledger) as house:
        assert (await house.show(service))["ready"] == 2
        house.replicas.health[replicas.started[0]] = 500
        await house.launched(3)
        house.replicas.health[replicas.started[0]] = 200
        await house.reach(service, "running", ready=2)
        assert replicas.started[1] in replicas.workloads
        assert (await house.show(service))["version"] > version
        assert len(await house.events(service)) > told
        await house.act(service, "stop")
        await house.reach(service, "stopped")
        assert replicas.workloads == {}


async def test_one_that_died_during_a_restart_is_noticed(tmp_path: Path) -> None:
    replicas, ledger = Replicas(), Ledger()
    async with yard(tmp_path / "home", replicas, ledger) as house:
        service = await started(house, 1)
        await house.reach(service, "running", ready=1)
    replicas.ends(replicas.started[0], None, "lost")
    async with yard(tmp_path / "home", replicas, ledger) as house:
        await house.launched(2)
        await house.reach(service, "running", ready=1)


async def test_starting_while_the_old_replica_still_ends(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        house.replicas.obeys_stop = False
        service = await started(house, 1)
        await house.reach(service, "running", ready=1)
        old = house.replicas.started[0]
        await house.act(service, "stop")
        await house.until(lambda: _asked(house, old))
        assert (await house.act(service, "start", replicas=1)).json()["state"] == "starting"
        await house.reach(service, "running", ready=1)
        house.replicas.ends(old, 143, "stopped")

        async def one_left() -> bool:
            return list(house.replicas.workloads) == [house.replicas.started[-1]]

        await house.until(one_left)
        seen = await house.show(service)
        assert (seen["state"], seen["deaths"]) == ("running", 0)


async def test_stopping_and_starting_at_once_keeps_what_runs(tmp_path: Path) -> None:
    async with yard(tmp_path / "home", settings=QUICK.model_copy(update={"drain_seconds": 5.0})) as house:
        service = await started(house, 2)
        await house.reach(service, "running", ready=2)
        await house.act(service, "stop")
        await house.act(service, "start", replicas=2)
        await house.reach(service, "running", ready=2)
        assert (await house.show(service))["deaths"] == 0


async def _asked(house: Yard, replica: str) -> bool:
    return replica in house.replicas.stopped_in_order


async def test_old_ended_replicas_are_forgotten(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await started(house)
        for number in range(1, 6):
            await house.launched(number)
            await house.reach(service, "running", ready=1)
            house.replicas.ends(house.replicas.started[-1], 0)
        await house.act(service, "stop")
        await house.reach(service, "stopped")
    async with yard(tmp_path / "home") as house:

        async def few() -> bool:
            return len(await house.listed(service)) <= QUICK.kept_replicas

        await house.until(few)
        files = house.house.platform.files
        kept = {info.key.split("/")[-1] async for info in files.list(f"services/{service}/logs/")}
        assert kept <= {one["id"] for one in await house.listed(service)}


@pytest.mark.row("T19")
async def test_a_replica_that_gives_way_is_no_death_and_the_next_has_its_place(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await house.publish()
        assert (await house.show(service))["preemptible"] is False
        changed = await house.alice.patch(f"/services/{service}", json={"preemptible": True, "spread": True})
        assert changed.status_code == 200, changed.text
        await house.act(service, "start", replicas=1)
        await house.reach(service, "running", ready=1)
        (first,) = house.replicas.started
        await house.ledger.preempt(first)
        await house.launched(2)
        seen = await house.reach(service, "running", ready=1)
        assert (seen["deaths"], seen["retry_at"], seen["detail"]) == (0, None, "")
        assert [one["reason"] for one in await house.listed(service) if one["id"] == first] == ["preempted"]
        before, after = house.ledger.asked
        assert (before.preemptible, before.anti_affinity, before.since) == (True, service, None)
        assert after.since is not None
        assert after.since < after_creation(await house.listed(service), first)


@pytest.mark.row("T19")
async def test_what_a_service_asks_for_is_said_by_the_api(tmp_path: Path) -> None:
    """Amounts, model, where, how urgent, on a node of its own each, in the queue of its owner's groups."""
    async with yard(tmp_path / "home") as house:
        service = await house.publish()
        wanted = {"cpu": 2, "memory": "1Gi", "accelerator": "nvidia.com/gpu", "count": 1, "model": "A100"}
        wanted |= {"selectors": {"disk": "nvme"}, "cluster": "hall-a"}
        terms = {"resources": wanted, "priority": 7, "priority_class": "high", "spread": True}
        changed = await house.alice.patch(f"/services/{service}", json=terms)
        assert changed.status_code == 200, changed.text
        assert changed.json()["resources"]["memory"] == 1 << 30
        red = house.house.gateway.sign(Principal("alice", "user", "alice", ("red",)))
        told = {"Authorization": f"Bearer {red}"}
        began = await house.alice.post(f"/services/{service}/start", json={"replicas": 2}, headers=told)
        assert began.status_code == 202
        await house.reach(service, "running", ready=2)
        one, two = house.ledger.asked
        assert one.resources == Resources(**{**wanted, "memory": 1 << 30})
        assert (one.priority, one.priority_class, one.groups) == (7, "high", ("red",))
        assert one.anti_affinity == two.anti_affinity == service
        back = await house.alice.patch(f"/services/{service}", json={"resources": None, "priority_class": None})
        assert (back.json()["resources"]["count"], back.json()["priority_class"]) == (0, None)
        for bad in ({"accelerator": "gpu"}, {"count": 1}, {"model": "A100"}, {"selectors": {"a b": "c"}}):
            assert (await house.alice.patch(f"/services/{service}", json={"resources": bad})).status_code == 422


@pytest.mark.row("T19")
async def test_where_a_node_is_drained_the_replacement_answers_before_the_old_one_goes(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await started(house)
        await house.reach(service, "running", ready=1)
        (first,) = house.replicas.started
        house.replicas.default = 503
        house.replicas.health[first] = 200
        await house.ledger.preempt(first, moving=True)
        await house.launched(2)
        assert (await house.show(service))["ready"] == 1, "the old one still answers"
        assert first not in house.replicas.stopped_in_order
        house.replicas.default = 200
        await house.until(lambda: _asked(house, first))
        seen = await house.reach(service, "running", ready=1)
        assert seen["deaths"] == 0
        states = [data["state"] for _, data in await house.events(service)]
        assert states[states.index("running") :] == ["running"] * (len(states) - states.index("running"))


@pytest.mark.row("T19")
async def test_where_nothing_can_take_its_place_it_goes_when_its_time_is_over(tmp_path: Path) -> None:
    async with yard(tmp_path / "home", ledger=Ledger(room=1)) as house:
        service = await started(house)
        await house.reach(service, "running", ready=1)
        (first,) = house.replicas.started
        await house.ledger.preempt(first, moving=True, grace=0)
        await house.until(lambda: _asked(house, first))
        await house.launched(2)
        await house.reach(service, "running", ready=1)


@pytest.mark.row("T19")
async def test_a_replacement_is_not_put_where_the_last_one_was_lost(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await started(house)
        await house.reach(service, "running", ready=1)
        house.replicas.ends(house.replicas.started[0], None, "lost")
        await house.launched(2)
        assert [asked.avoid for asked in house.ledger.asked] == [(), ("here",)]


def after_creation(listed: list[dict[str, Any]], first: str) -> datetime:
    """When the next one was made."""
    return max(datetime.fromisoformat(one["created_at"]) for one in listed if one["id"] != first)
