"""Engines and presets: registered, built, installed once and updated when they change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from algo_svc.installing import install
from algo_svc.presets import load_presets
from algo_svc.service import build
from algo_svc.settings import Settings
from tests.algo_svc.support import FakeEngines, events, payloads, until
from tests.support.platform import House, running


@pytest.mark.row("A9")
async def test_presets_are_there_for_everybody(house: House) -> None:
    found = (await house.client("algo-svc", "bob").get("/algorithms?visibility=preset&sort=name")).json()["items"]
    assert [item["name"] for item in found] == ["image-classifier", "text-bayes"]
    assert all(item["online"] and item["owner"] == "modelyard" and not item["missing"] for item in found)
    assert found[1]["inference"]["interface"]["inputs"][0]["test_value"] == "足球"
    path = f"/algorithms/{found[0]['id']}"
    assert (await house.client("algo-svc", "bob").patch(path, json={"name": "x"})).status_code == 403


@pytest.mark.row("A9")
async def test_presets_are_installed_once(tmp_path: Path, engines: FakeEngines) -> None:
    told = []
    for _ in range(2):
        async with running(tmp_path / "home", [lambda p: build(p, Settings())], engines=engines) as house:
            told.append(await events(house))
    assert told[0] == told[1]
    assert [kind for kind, _ in told[0]] == ["algorithm.online"] * 2


@pytest.mark.row("A9")
async def test_a_changed_preset_is_a_new_revision(house: House) -> None:
    service = house.service("algo-svc")
    presets = load_presets()
    changed = replace(presets[0], code=presets[0].code | {"train.py": b"print('new')\n"})
    await install(service.kit, [changed, presets[1]])
    await install(service.kit, [changed, presets[1]])
    [told] = await payloads(house, "algorithm.changed")
    assert (told["name"], told["revision"], told["online"]) == ("image-classifier", 2, True)


@pytest.mark.row("A9")
async def test_a_preset_that_an_administrator_took_offline_stays_so(house: House) -> None:
    admin = house.client("algo-svc", "admin")
    one = (await admin.get("/algorithms?name=text-bayes")).json()["items"][0]
    await admin.post(f"/algorithms/{one['id']}/offline")
    presets = [replace(p, code=p.code | {"new.py": b""}) for p in load_presets()]
    await install(house.service("algo-svc").kit, presets)
    after = (await admin.get(f"/algorithms/{one['id']}")).json()
    assert (after["online"], after["revision"]) == (False, 2)


@pytest.mark.row("A11")
async def test_an_engine_is_built_once_and_told(house: House, engines: FakeEngines) -> None:
    alice = house.client("algo-svc")
    assert (await alice.get("/engines/sklearn-1.9")).json()["state"] == "absent"
    engines.release.clear()
    for _ in range(2):
        answer = await alice.post("/engines/sklearn-1.9/build")
        assert (answer.status_code, answer.json()["state"]) == (202, "building")
    engines.release.set()

    async def ready() -> bool:
        return ("image.ready", "sklearn-1.9") in await events(house)

    await until(ready)
    shown = (await alice.get("/engines/sklearn-1.9")).json()
    assert (shown["state"], shown["progress"], shown["digest"]) == ("ready", 1.0, "digest-sklearn-1.9")
    assert engines.built == {"sklearn-1.9": 1}


async def test_a_failed_build_says_why_and_can_be_repeated(house: House) -> None:
    admin = house.client("algo-svc", "admin")
    body = {"name": "broken-1", "framework": "broken", "version": "1", "requirements": ["broken==1"]}
    assert (await admin.post("/engines", json=body)).status_code == 201
    assert (await admin.post("/engines", json=body)).json()["code"] == "engine_exists"
    for times in (1, 2):
        await admin.post("/engines/broken-1/build")

        async def failed(times: int = times) -> bool:
            return (await events(house)).count(("image.failed", "broken-1")) == times

        await until(failed)
    shown = (await admin.get("/engines/broken-1")).json()
    assert shown["state"] == "failed"
    assert "No matching distribution" in shown["detail"]


@pytest.mark.parametrize(
    "requirement", ["--index-url=x", "numpy", "numpy @ https://e/x.whl", "https://e/x.whl", "a==1\nb==2", "-r x"]
)
async def test_requirements_name_packages_only(house: House, requirement: str) -> None:
    admin = house.client("algo-svc", "admin")
    body = {"name": "odd-1", "framework": "odd", "version": "1", "requirements": [requirement]}
    answer = await admin.post("/engines", json=body)
    assert (answer.status_code, answer.json()["faults"][0]["where"]) == (422, "requirements.0")
    assert (await house.client("algo-svc").post("/engines", json=body)).status_code == 403


async def test_a_build_that_was_interrupted_goes_on(tmp_path: Path, engines: FakeEngines) -> None:
    engines.release.clear()
    async with running(tmp_path / "home", [lambda p: build(p, Settings())], engines=engines) as house:
        await house.client("algo-svc").post("/engines/sklearn-1.9/build")
    engines.release.set()
    async with running(tmp_path / "home", [lambda p: build(p, Settings())], engines=engines) as house:

        async def ready() -> bool:
            return ("image.ready", "sklearn-1.9") in await events(house)

        await until(ready)
