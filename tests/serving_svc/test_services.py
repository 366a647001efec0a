"""A service's life over HTTP: made from a model, started, scaled, stopped, started again, deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serving_svc.storage import SERVICES
from serving_svc.usecases import create_from_model
from tests.serving_svc.support import Yard, published, yard


@pytest.mark.row("S1", "S6", "S7", "S8", "S9")
async def test_the_whole_life(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await house.publish()
        one = await house.show(service)
        assert (one["state"], one["replicas"], one["name"]) == ("stopped", 0, "数字识别")
        assert one["address"] == f"/serve/{service}/"

        answer = await house.act(service, "start", replicas=2)
        assert (answer.status_code, answer.json()["state"]) == (202, "starting")
        await house.reach(service, "running", ready=2)
        assert (await house.act(service, "scale", replicas=3)).status_code == 202
        await house.reach(service, "running", ready=3)
        assert len(house.replicas.started) == 3

        await house.act(service, "stop")
        stopped = await house.reach(service, "stopped", ready=0)
        assert stopped["address"] == one["address"]
        assert house.replicas.workloads == {}
        await house.all_released()

        await house.act(service, "start", replicas=1)
        await house.reach(service, "running", ready=1)
        await house.act(service, "stop")
        await house.reach(service, "stopped")
        assert (await house.alice.delete(f"/services/{service}")).status_code == 204
        assert (await house.alice.get(f"/services/{service}")).status_code == 404
        told = [kind for kind, _ in await house.events(service)]
        assert told[0] == "service.created"
        assert told[-1] == "service.deleted"
        assert told.count("service.started") == told.count("service.stopped") == 2
        assert told.count("service.scaled") == 1


@pytest.mark.row("S7")
async def test_an_address_is_taken_away_before_its_replica_is_asked_to_stop(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await house.publish()
        await house.act(service, "start", replicas=3)
        await house.reach(service, "running", ready=3)
        oldest = min(await house.listed(service), key=lambda one: one["created_at"])["id"]
        told_at_stop: dict[str, set[str]] = {}
        stop = house.replicas.stop

        async def noted(handle: Any, grace: float = 10.0, notice: str = "") -> None:
            endpoints = [data["endpoints"] for kind, data in await house.events(service) if "endpoints" in data][-1]
            told_at_stop.setdefault(handle["workload"], {endpoint["replica"] for endpoint in endpoints})
            await stop(handle, grace, notice)

        house.replicas.stop = noted  # type: ignore[method-assign]
        await house.act(service, "scale", replicas=1)
        await house.until(lambda: _count(house, 1))
        assert told_at_stop
        assert all(replica not in told for replica, told in told_at_stop.items())
        assert list(house.replicas.workloads) == [oldest], "the newest go first"
        await house.act(service, "stop")
        await house.reach(service, "stopped")
        assert all(replica not in told for replica, told in told_at_stop.items())


async def _count(house: Yard, number: int) -> bool:
    return len(house.replicas.workloads) == number


@pytest.mark.row("S4", "S9", "S12", "S13")
async def test_details_and_edits(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await house.publish(name="digits 5")
        one = await house.show(service)
        assert (one["model_name"], one["job_id"], one["lineage"]["algorithm_id"]) == ("digits 5", "job-1", "algo-1")
        assert one["model_id"].startswith("model-")
        assert one["interface"]["inputs"][0]["test_value"] == "足球"
        edit = {"name": "新名称", "description": "d", "visibility": "public"}
        after = (await house.alice.patch(f"/services/{service}", json=edit)).json()
        assert {name: after[name] for name in edit} == edit
        assert after["version"] == one["version"] + 1
        kind, told = (await house.events(service))[-1]
        assert (kind, told["name"], told["visibility"]) == ("service.changed", "新名称", "public")
        again = (await house.alice.patch(f"/services/{service}", json=edit)).json()
        assert again["version"] == after["version"], "nothing changed"
        bad = await house.alice.patch(f"/services/{service}", json={"name": "", "description": "x" * 256})
        assert (bad.status_code, len(bad.json()["faults"])) == (422, 2)
        preset = await house.alice.patch(f"/services/{service}", json={"visibility": "preset"})
        assert preset.json()["code"] == "preset_admin_only"
        long = await house.alice.patch(f"/services/{service}", json={"address": "/serve/other/"})
        assert long.status_code == 422


@pytest.mark.row("S1")
async def test_a_publication_told_twice_makes_one_service(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await house.publish()
        async with house.house.service("serving-svc").kit.store.work() as uow:
            before = await SERVICES.get(uow.connection, service)
            again = published(before.model, before.inference.code, None, service_id=service)  # type: ignore[arg-type]
            await create_from_model(uow, again)
            assert await SERVICES.get(uow.connection, service) == before
        assert [kind for kind, _ in await house.events(service)] == ["service.created"]


async def test_others_see_what_is_public_and_no_more(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await house.publish()
        bob = house.house.client("serving-svc", "bob")
        path = f"/services/{service}"
        assert (await bob.get(path)).status_code == (await bob.post(f"{path}/start")).status_code == 404
        assert (await bob.get("/services")).json()["items"] == []
        await house.alice.patch(path, json={"visibility": "public"})
        assert (await bob.get(path)).status_code == 200
        assert len((await bob.get("/services")).json()["items"]) == 1
        for answer in (
            await bob.post(f"{path}/start"),
            await bob.delete(path),
            await bob.get(f"{path}/replicas"),
            await bob.get(f"{path}/replicas/rep-1/log"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "not_owner")
        assert (await bob.post(f"{path}/test")).json()["code"] == "service_stopped"


@pytest.mark.row("S5", "S6", "S8")
async def test_what_the_state_does_not_allow(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await house.publish()
        scaled = await house.act(service, "scale", replicas=2)
        assert (scaled.status_code, scaled.json()["allowed"]) == (409, ["start"])
        for number in (0, -1, 33):
            bad = await house.act(service, "start", replicas=number)
            assert (bad.status_code, bad.json()["code"]) == (422, "bad_replicas")
        await house.act(service, "start", replicas=1)
        started = await house.act(service, "start", replicas=1)
        assert (started.status_code, started.json()["code"]) == (409, "illegal_state")
        deleted = await house.alice.delete(f"/services/{service}")
        assert (deleted.status_code, deleted.json()["code"]) == (409, "service_not_stopped")
        assert (await house.act(service, "stop")).status_code == 202
        assert (await house.act(service, "stop")).status_code == 202, "stopping twice is stopping once"


async def test_what_runs_is_what_was_published(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await house.publish()
        await house.act(service, "start")
        await house.reach(service, "running", ready=1)
        spec = house.replicas.by_subject().spec
        assert spec.command == ("python", "serve.py")
        assert (spec.port, spec.working_mount, spec.owner) == (True, "code", "alice")
        assert {mount.variable for mount in spec.mounts} == {"MODEL_DIR", "YARD_CODE_DIR"}
        assert all(mount.kind == "staged" for mount in spec.mounts)
        assert spec.environment["YARD_SERVICE_ID"] == service
        assert "algo-1" in house.ledger.holds
        assert len(house.ledger.holds) == 2


async def test_lists_are_filtered(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        first, second = await house.publish(service_name="one"), await house.publish(service_name="two")
        await house.act(first, "start")

        async def ids(query: str) -> list[str]:
            return [item["id"] for item in (await house.alice.get(f"/services?{query}")).json()["items"]]

        assert await ids("q=tw") == await ids("state=stopped") == [second]
        assert await ids("sort=created_at&owner=me") == [first, second]
        assert await ids("owner=bob") == await ids("visibility=public") == []
