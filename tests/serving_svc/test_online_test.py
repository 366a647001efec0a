"""The online test: a request made from the interface, sent to a ready replica (row S10)."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import httpx2
import pytest

from common.contracts.shared import Interface, InterfaceInput
from tests.serving_svc.support import QUICK, Yard, yard

PNG = b"\x89PNG not really"
IMAGES = Interface(
    name="classify_image",
    style="file",
    inputs=(InterfaceInput(name="image", type="File", test_value=base64.b64encode(PNG).decode()),),
)


async def running(house: Yard, interface: Interface | None = None) -> str:
    service = await (house.publish(interface) if interface else house.publish())
    await house.act(service, "start")
    await house.reach(service, "running", ready=1)
    return service


@pytest.mark.row("S10")
async def test_with_the_interfaces_test_values(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await running(house)
        answer = (await house.alice.post(f"/services/{service}/test")).json()
        assert (answer["status"], answer["response"]) == (200, {"label": "7"})
        assert answer["latency_ms"] > 0
        assert answer["request"] == {
            "method": "POST",
            "path": f"/serve/{service}/classify",
            "json": {"text": "足球", "top": 3},
        }
        [heard] = house.replicas.heard
        assert json.loads(heard.content) == {"text": "足球", "top": 3}
        assert answer["replica"] == house.replicas.started[0]


@pytest.mark.row("S10")
async def test_with_inputs_of_ones_own(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await running(house)
        await house.alice.post(f"/services/{service}/test", json={"inputs": {"text": "篮球"}})
        assert json.loads(house.replicas.heard[0].content) == {"text": "篮球"}
        bad = await house.alice.post(f"/services/{service}/test", json={"inputs": {"top": "x", "odd": 1}})
        assert bad.status_code == 422
        assert {fault["where"] for fault in bad.json()["faults"]} == {"inputs.text", "inputs.top", "inputs.odd"}
        assert len(house.replicas.heard) == 1


@pytest.mark.row("S10")
async def test_a_file_goes_as_multipart(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await running(house, IMAGES)
        answer = (await house.alice.post(f"/services/{service}/test")).json()
        assert answer["request"]["files"] == {"image": len(PNG)}
        [heard] = house.replicas.heard
        assert heard.headers["content-type"].startswith("multipart/form-data")
        assert PNG in heard.content


@pytest.mark.row("S10")
async def test_answers_of_every_kind(tmp_path: Path) -> None:
    async with yard(tmp_path / "home", settings=QUICK.model_copy(update={"test_bytes": 10})) as house:
        service = await running(house)

        async def told(response: httpx2.Response) -> tuple[object, bool]:
            house.replicas.answer = response
            answer = (await house.alice.post(f"/services/{service}/test")).json()
            assert answer["status"] == response.status_code
            return answer["response"], answer["truncated"]

        assert await told(httpx2.Response(500, text="oh")) == ("oh", False)
        binary = httpx2.Response(200, content=b"\x00\x01", headers={"content-type": "image/png"})
        assert await told(binary) == ({"base64": "AAE="}, False)
        assert await told(httpx2.Response(200, text="x" * 50)) == ("x" * 10, True)
        assert await told(httpx2.Response(200, json={"a": "b" * 50})) == ('{"a":"bbbb', True)
        assert await told(httpx2.Response(204)) == (None, False)


@pytest.mark.row("S10")
async def test_nobody_there_to_ask(tmp_path: Path) -> None:
    async with yard(tmp_path / "home") as house:
        service = await house.publish()
        stopped = await house.alice.post(f"/services/{service}/test")
        assert (stopped.status_code, stopped.json()["code"]) == (503, "service_stopped")
        assert f"yard service start {service}" in stopped.json()["detail"]
        await house.act(service, "start")
        await house.reach(service, "running", ready=1)
        house.replicas.default = 503  # whoever replaces it answers nobody
        del house.replicas.workloads[house.replicas.started[0]]
        broken = await house.alice.post(f"/services/{service}/test")
        assert (broken.status_code, broken.json()["code"]) in ((502, "replica_failed"), (503, "no_ready_replica"))
        bare = await house.publish(None)
        assert (await house.alice.post(f"/services/{bare}/test")).json()["code"] == "no_interface"
