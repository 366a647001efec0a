"""Versions beside one another: what differs, and what they are called."""

import os
import time

import pytest

from dataset_svc.usecases import differences
from tests.dataset_svc.conftest import pictures, png


async def kinds(desk, path, **query):
    found = await desk.ok("GET", path, params=query)
    return [(item["kind"], item["path"]) for item in found["items"]], found


@pytest.mark.row("D12")
async def test_two_versions_are_compared(alice, bob):
    first = pictures()
    made = await alice.filled(first)
    second = {**first, "cat/0.png": png(77), "cat/new.png": png(78), "cat/moved.png": first["dog/0.png"]}
    del second["dog/0.png"], second["cat/1.png"]
    assert (await alice.imported(made["id"], second))["version_number"] == 2
    path = f"/datasets/{made['id']}/versions"
    items, found = await kinds(alice, f"{path}/1/diff/2")
    assert items == [
        ("changed", "cat/0.png"),
        ("removed", "cat/1.png"),
        ("renamed", "cat/moved.png"),
        ("added", "cat/new.png"),
    ]
    assert found["items"][2]["earlier_path"] == "dog/0.png"
    assert {kind: total["files"] for kind, total in found["totals"].items()} == dict.fromkeys(found["totals"], 1)
    assert found["totals"]["added"]["bytes"] == len(png(78))
    assert [found["before"]["number"], found["after"]["number"], found["same"]] == [1, 2, False]
    back, _ = await kinds(alice, f"{path}/2/diff/1")
    assert ("renamed", "dog/0.png") in back
    assert ("added", "cat/1.png") in back
    assert (await alice.ok("GET", f"{path}/2/diff/2"))["same"] is True
    await alice.refused("GET", f"{path}/1/diff/3", 404, "version_not_found")
    await alice.refused("GET", f"{path}/1/diff/2?part=test", 404, "part_not_found")
    await bob.refused("GET", f"{path}/1/diff/2", 404, "dataset_not_found")


@pytest.mark.row("D12")
async def test_differences_come_in_pages_and_by_kind(place, alice):
    made = await alice.filled(pictures(6, 2))
    await alice.imported(made["id"], pictures(6, 2, shade=20))
    path = f"/datasets/{made['id']}/versions/1/diff/2"
    seen, cursor = [], None
    while True:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        items, found = await kinds(alice, path, **query)
        seen += items
        if (cursor := found["next_cursor"]) is None:
            break
    assert seen == [("changed", name) for name in sorted(pictures(6, 2))]
    assert (await kinds(alice, path, kind="added"))[0] == []
    await alice.refused("GET", f"{path}?cursor=%25", 400, "bad_cursor")
    await alice.refused("GET", f"{path}?kind=other", 422, "invalid_request")
    assert [one.suffix for one in place.context.comparisons.iterdir()] == [".db"], "computed once, nothing left behind"


async def test_only_the_latest_comparisons_are_kept(place, alice, monkeypatch):
    monkeypatch.setattr(differences, "_KEPT", 1)
    made = await alice.filled()
    await alice.imported(made["id"], pictures(shade=9))
    for pair in ("1/diff/2", "2/diff/1", "1/diff/1", "1/diff/2"):
        await alice.ok("GET", f"/datasets/{made['id']}/versions/{pair}")
        assert len(list(place.context.comparisons.iterdir())) == 1


async def test_what_a_kill_left_half_compared_goes_with_the_next(place, alice):
    made = await alice.filled()
    folder = place.context.comparisons
    for name, age in (("indexes-old", 7200), ("indexes-new", 0)):
        (folder / name).mkdir(parents=True)
        (folder / name / "old").write_bytes(b"x")
        os.utime(folder / name, (time.time() - age,) * 2)
    await alice.ok("GET", f"/datasets/{made['id']}/versions/1/diff/1")
    assert {one.name for one in folder.iterdir() if one.is_dir()} == {"indexes-new"}, "which may be another's"


@pytest.mark.row("D12")
async def test_a_version_has_a_name(place, alice, bob):
    made = await alice.online(visibility="public")
    path = f"/datasets/{made['id']}/versions/1"
    named = await alice.ok("PATCH", path, json={"name": "v1.0 初版", "description": "as delivered"})
    assert (named["name"], named["description"], named["digest"]) == (
        "v1.0 初版",
        "as delivered",
        made["current_version"]["digest"],
    )
    assert await bob.ok("GET", path) == named
    assert (await alice.ok("GET", f"/datasets/{made['id']}"))["current_version"] == named
    await alice.imported(made["id"], pictures(shade=9))
    assert [one["name"] for one in (await alice.ok("GET", f"/datasets/{made['id']}/versions"))["items"]] == [
        "",
        "v1.0 初版",
    ]
    cleared = await alice.ok("PATCH", path, json={"name": ""})
    assert (cleared["name"], cleared["description"]) == ("", "as delivered")
    assert (await alice.ok("GET", f"/datasets/{made['id']}"))["current_version"]["number"] == 2
    problem = await alice.refused(
        "PATCH", path, 422, "invalid_version", json={"name": "x" * 101, "description": "d" * 256}
    )
    assert [fault["where"] for fault in problem["faults"]] == ["name", "description"]
    await alice.refused("PATCH", path, 422, "invalid_request", json={"digest": "sha256:0"})
    await bob.refused("PATCH", path, 403, "not_owner", json={"name": "his"})
    await alice.refused("PATCH", f"/datasets/{made['id']}/versions/9", 404, "version_not_found", json={"name": "x"})


async def history(desk, dataset):
    return (await desk.ok("GET", f"/datasets/{dataset}/history"))["items"]


@pytest.mark.row("D3", "D12")
async def test_a_dataset_has_a_history(place, alice, bob, admin):
    made = await alice.create()
    path = f"/datasets/{made['id']}"
    await alice.ok("PATCH", path, json={"name": "新名", "description": "mehr"})
    await alice.ok("PATCH", path, json={"name": "新名"})
    await alice.imported(made["id"], b"this is no archive")
    done = await alice.imported(made["id"], pictures())
    await alice.imported(made["id"], pictures())
    await alice.ok("PATCH", f"{path}/versions/1", json={"name": "v1"})
    await alice.ok("POST", f"{path}/online")
    await admin.ok("PUT", f"{path}/visibility", json={"visibility": "preset"})
    await bob.refused("GET", f"{path}/history", 403, "not_owner")
    await alice.ok("POST", f"{path}/offline")
    await alice.ok("DELETE", path, 204)
    told = list(reversed(await history(alice, made["id"])))
    assert [entry["deed"] for entry in told] == [
        "created",
        "renamed",
        "edited",
        "import_failed",
        "imported",
        "imported",
        "version_described",
        "online",
        "visibility",
        "offline",
        "deleted",
    ]
    assert told[1]["changes"] == {"name": [made["name"], "新名"]}
    assert told[2]["changes"] == {"description": ["", "mehr"]}
    assert told[3]["detail"]["code"]
    assert told[3]["detail"]["filename"] == "archive.zip"
    version = (told[4]["detail"]["version"], told[4]["detail"]["unchanged"], told[5]["detail"]["unchanged"])
    assert version == (1, False, True)
    assert told[4]["detail"]["import_id"] == done["id"]
    assert told[4]["detail"]["digest"].startswith("sha256:")
    assert told[8]["changes"] == {"visibility": ["private", "preset"]}
    assert [entry["actor"] for entry in told] == ["alice"] * 8 + ["admin"] + ["alice"] * 2
    assert await history(admin, made["id"]) == list(reversed(told))
    await bob.refused("GET", f"{path}/history", 404, "dataset_not_found")


async def test_a_history_comes_in_pages(alice):
    made = await alice.create()
    for number in range(5):
        await alice.ok("PATCH", f"/datasets/{made['id']}", json={"name": f"name {number}"})
    path = f"/datasets/{made['id']}/history"
    first = await alice.ok("GET", f"{path}?limit=4")
    rest = await alice.ok("GET", f"{path}?limit=4&cursor={first['next_cursor']}")
    assert first["items"] + rest["items"] == await history(alice, made["id"])
    assert (len(rest["items"]), rest["next_cursor"]) == (2, None)
    await alice.refused("GET", f"{path}?cursor=-1", 400, "bad_cursor")


async def test_what_was_refused_is_no_history(alice):
    made = await alice.create()
    path = f"/datasets/{made['id']}"
    await alice.refused("POST", f"{path}/online", 409, "dataset_empty")
    await alice.refused("PATCH", path, 422, "invalid_dataset", json={"name": ""})
    await alice.refused("PUT", f"{path}/visibility", 403, "admin_only", json={"visibility": "preset"})
    assert [entry["deed"] for entry in await history(alice, made["id"])] == ["created"]


@pytest.mark.row("D2")
async def test_a_cancelled_import_is_in_the_history(open_place):
    async with open_place(imports_at_once=1) as place:
        alice = place.desk()
        made = await alice.filled()
        queued = await alice.uploaded(made["id"], b"x" * 10)
        path = f"/datasets/{made['id']}/imports/{queued['id']}/cancel"
        answer = await alice.client.request("POST", path)
        ended = await alice.ended(queued)
        deed = (await history(alice, made["id"]))[0]["deed"]
        assert deed == ("import_cancelled" if ended["state"] == "cancelled" else "import_failed"), answer.text
