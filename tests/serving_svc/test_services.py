"""A service's life over HTTP: made from a model, started, scaled, stopped, started again, deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serving_svc.support import yard


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
        assert sorted(house.ledger.granted) == sorted(house.ledger.released)

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
