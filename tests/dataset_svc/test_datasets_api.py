"""Making, editing, publishing and deleting datasets, over HTTP, with the events that tell of it."""

import pytest

from common.contracts.dataset import DatasetSnapshot
from tests.dataset_svc.conftest import pictures, zipped

GOOD = {"name": "宠物", "purpose": "image/classification"}


@pytest.mark.row("D1")
@pytest.mark.parametrize(
    "fields",
    [
        {"name": "宠" * 100, "description": "描" * 255},
        {"purpose": "image/detection", "annotation": "box", "format": "json"},
        {"purpose": "image/segmentation", "annotation": "polygon", "format": "json"},
        {"purpose": "text/classification", "format": "single_text"},
        {"purpose": "text/entity", "annotation": "entity", "format": "brat_ann"},
        {"purpose": "text/relation", "annotation": "relation", "format": "brat_ann", "test_mode": "independent"},
        {"visibility": "public"},
    ],
)
async def test_what_can_be_made(alice, fields):
    made = await alice.create(**fields)
    assert {name: made[name] for name in fields} == fields
    assert await alice.ok("GET", f"/datasets/{made['id']}") == made


@pytest.mark.row("D1", "T10")
@pytest.mark.parametrize(
    ("fields", "wheres"),
    [
        ({"name": ""}, ["name"]),
        ({"name": " \t"}, ["name"]),
        ({"name": "x" * 101}, ["name"]),
        ({"name": "two\nlines"}, ["name"]),
        ({"description": "d" * 256}, ["description"]),
        ({"description": "\0"}, ["description"]),
        ({"purpose": "image"}, ["purpose"]),
        ({"purpose": "image/cooking"}, ["purpose"]),
        ({"format": "lmdb"}, ["format"]),
        ({"format": "brat_ann"}, ["format"]),
        ({"annotation": "colour"}, ["annotation"]),
        ({"annotation": "box"}, ["annotation"]),
        ({"test_mode": "half"}, ["test_mode"]),
        ({"visibility": "secret"}, ["visibility"]),
        (
            {"name": "", "description": "d" * 256, "purpose": "x", "format": "y", "test_mode": "z"},
            ["name", "description", "purpose", "format", "test_mode"],
        ),
    ],
)
async def test_what_is_wrong_is_said_all_at_once_and_nothing_is_made(alice, fields, wheres):
    problem = await alice.refused("POST", "/datasets", 422, "invalid_dataset", json={**GOOD, **fields})
    assert [fault["where"] for fault in problem["faults"]] == wheres
    assert (await alice.ok("GET", "/datasets"))["items"] == []


@pytest.mark.parametrize("body", [{}, {"name": 1, "purpose": None}, {**GOOD, "owner": "bob"}, [], "x"])
async def test_a_malformed_body_is_refused(alice, body):
    await alice.refused("POST", "/datasets", 422, "invalid_request", json=body)


@pytest.mark.row("D1")
async def test_an_administrator_can_add_purposes(open_place):
    """They can be described; what no format can hold is not uploaded in vain."""
    async with open_place(more_purposes=("audio/keywords",)) as place:
        alice = place.desk()
        made = await alice.create(purpose="audio/keywords", annotation="entity", format="json")
        assert made["purpose"] == "audio/keywords"
        sent = {"json": {"part": "train", "filename": "x.zip", "size": 100}}
        told = await alice.refused("POST", f"/datasets/{made['id']}/uploads", 409, "format_not_importable", **sent)
        assert "json" in told["detail"]


@pytest.mark.row("D1")
async def test_a_purpose_that_was_added_is_held_as_the_known_one_of_its_medium_and_annotation(open_place):
    async with open_place(more_purposes=("image/quality", "text/sentiment")) as place:
        alice = place.desk()
        for purpose, files in (("image/quality", pictures()), ("text/sentiment", {"好/1.txt": b"a", "坏/2.txt": b"b"})):
            made = await alice.create(purpose=purpose, annotation="class", format="dir")
            done = await alice.ended(await alice.uploaded(made["id"], zipped(files)))
            assert done["state"] == "succeeded", done
            assert (await alice.ok("GET", f"/datasets/{made['id']}"))["purpose"] == purpose
            body = {"dataset_id": made["id"], "format": "lmdb"}
            await alice.ok("POST", "/formatted-sets", 202, json=body)


async def test_a_create_that_is_sent_twice_is_done_once(alice, bob):
    how = {"json": GOOD, "headers": {"Idempotency-Key": "once"}}
    first = await alice.ok("POST", "/datasets", 201, **how)
    assert await alice.ok("POST", "/datasets", 201, **how) == first
    assert (await bob.ok("POST", "/datasets", 201, **how))["id"] != first["id"]
    other = {"json": {**GOOD, "name": "other"}, "headers": how["headers"]}
    await alice.refused("POST", "/datasets", 422, "idempotency_key_reused", **other)


@pytest.mark.row("D3")
async def test_editing(place, alice):
    made = await alice.create()
    path = f"/datasets/{made['id']}"
    edited = await alice.ok("PATCH", path, json={"name": "新名", "purpose": "text/classification", "format": "dir"})
    assert (edited["name"], edited["purpose"], edited["version"]) == ("新名", "text/classification", 2)
    assert (await alice.ok("PATCH", path, json={}))["version"] == 2
    await alice.refused("PATCH", path, 422, "invalid_dataset", json={"name": "", "format": "json"})
    await alice.refused("PATCH", path, 422, "invalid_request", json={"state": "online"})
    assert await place.told(made["id"]) == [], "nobody knows a dataset that is not online"


@pytest.mark.row("D3")
async def test_after_an_import_only_name_and_description_change(place, alice):
    made = await alice.filled()
    path = f"/datasets/{made['id']}"
    for change in ({"purpose": "text/classification"}, {"test_mode": "independent"}):
        problem = await alice.refused("PATCH", path, 409, "dataset_not_empty", json=change)
        assert next(iter(change)) in problem["detail"]
    await alice.ok("PATCH", path, json={"name": "n", "purpose": made["purpose"]})
    await alice.ok("POST", f"{path}/online")
    edited = await alice.ok("PATCH", path, json={"description": "mehr"})
    assert edited["description"] == "mehr"
    assert await place.told(made["id"]) == ["dataset.imported", "dataset.online", "dataset.changed"]
    assert (await place.events(made["id"]))[-1].data["name"] == "n"


@pytest.mark.row("D6")
async def test_online_and_offline(place, alice):
    empty = await alice.create()
    problem = await alice.refused("POST", f"/datasets/{empty['id']}/online", 409, "dataset_empty")
    assert problem["missing"] == ["train"]
    made = await alice.filled()
    path = f"/datasets/{made['id']}"
    await alice.refused("POST", f"{path}/offline", 409, "illegal_state")
    assert (await alice.ok("POST", f"{path}/online"))["version"] == made["version"] + 1
    await alice.refused("POST", f"{path}/online", 409, "illegal_state")
    offline = await alice.ok("POST", f"{path}/offline")
    assert (offline["state"], offline["online"]) == ("ready", False)
    events = await place.events(made["id"])
    assert [event.type for event in events] == ["dataset.imported", "dataset.online", "dataset.offline"]
    assert [event.sequence for event in events] == [1, 2, 3]
    assert events[-1].data == {"id": made["id"]}
    assert {event.owner for event in events} == {"alice"}


@pytest.mark.row("D7")
async def test_visibility(place, alice, bob, admin):
    made = await alice.online()
    path = f"/datasets/{made['id']}"
    await bob.refused("GET", path, 404, "dataset_not_found")
    await alice.refused("PUT", f"{path}/visibility", 403, "admin_only", json={"visibility": "preset"})
    await alice.refused("PUT", f"{path}/visibility", 422, "invalid_request", json={"visibility": "secret"})
    public = await alice.ok("PUT", f"{path}/visibility", json={"visibility": "public"})
    seen = await bob.ok("GET", path)
    assert seen == {**public, "imports": []}
    await bob.refused("PUT", f"{path}/visibility", 403, "not_owner", json={"visibility": "private"})
    await admin.ok("PUT", f"{path}/visibility", json={"visibility": "preset"})
    await alice.refused("PUT", f"{path}/visibility", 403, "admin_only", json={"visibility": "public"})
    await admin.ok("PUT", f"{path}/visibility", json={"visibility": "preset"})
    events = await place.events(made["id"])
    assert [event.type for event in events] == ["dataset.imported", "dataset.online", *["dataset.changed"] * 2]
    assert [event.data["visibility"] for event in events[1:]] == ["private", "public", "preset"]
    assert [event.actor for event in events[2:]] == ["alice", "admin"]
    snapshot = DatasetSnapshot.model_validate(events[-1].data)
    assert snapshot.version is not None
    assert (snapshot.online, snapshot.version.number, snapshot.version.classes) == (True, 1, ("cat", "dog"))


@pytest.mark.row("D7")
async def test_only_an_administrator_makes_presets(alice, admin):
    await alice.refused("POST", "/datasets", 403, "admin_only", json={**GOOD, "visibility": "preset"})
    assert (await admin.create(visibility="preset"))["visibility"] == "preset"


@pytest.mark.row("D7", "D10")
async def test_an_offline_dataset_is_nobody_elses_whatever_its_visibility(alice, bob):
    made = await alice.filled(visibility="public")
    await bob.refused("GET", f"/datasets/{made['id']}", 404, "dataset_not_found")
    assert (await bob.ok("GET", "/datasets"))["items"] == []
    await alice.ok("POST", f"/datasets/{made['id']}/online")
    assert [item["id"] for item in (await bob.ok("GET", "/datasets"))["items"]] == [made["id"]]
    await alice.ok("POST", f"/datasets/{made['id']}/offline")
    assert (await bob.ok("GET", "/datasets"))["items"] == []


@pytest.mark.row("D4")
async def test_deleting(place, alice):
    made = await alice.online(visibility="public")
    path = f"/datasets/{made['id']}"
    await alice.refused("DELETE", path, 409, "dataset_online")
    await alice.ok("POST", f"{path}/offline")
    await alice.ok("DELETE", path, 204)
    await alice.refused("DELETE", path, 404, "dataset_not_found")
    for inside in ("", "/versions", "/versions/1", "/samples", "/imports"):
        await alice.refused("GET", path + inside, 404, "dataset_not_found")
    assert (await alice.ok("GET", "/datasets"))["items"] == []
    assert (await place.told(made["id"]))[-2:] == ["dataset.offline", "dataset.deleted"]
    assert (await place.events(made["id"]))[-1].data == {"id": made["id"]}


@pytest.mark.row("D5", "D10")
async def test_the_list_is_filtered_sorted_and_paged(alice, bob):
    named = [await alice.create(name=f"Katzen {number}") for number in range(5)]
    text = await alice.create(name="Texte", purpose="text/classification")
    await bob.create(name="Katzen Bobs")

    async def names(query: str) -> list[str]:
        return [item["name"] for item in (await alice.ok("GET", f"/datasets?{query}"))["items"]]

    assert await names("") == ["Texte", *[item["name"] for item in reversed(named)]]
    assert await names("q=katzen&sort=name") == [item["name"] for item in named]
    assert await names("q=%25") == []
    assert await names("purpose=text/classification") == ["Texte"]
    assert await names("online=true") == []
    assert len(await names("online=false&state=empty&format=dir&visibility=private&owner=alice")) == 6
    first = await alice.ok("GET", "/datasets?limit=4")
    rest = await alice.ok("GET", f"/datasets?limit=4&cursor={first['next_cursor']}")
    assert [item["id"] for item in first["items"] + rest["items"]] == [text["id"], *[n["id"] for n in reversed(named)]]
    assert rest["next_cursor"] is None
    await alice.refused("GET", "/datasets?cursor=x", 400, "bad_cursor")
    await alice.refused("GET", "/datasets?sort=owner", 400, "bad_sort")
    await alice.refused("GET", "/datasets?limit=0", 422, "invalid_request")


async def test_an_administrator_sees_everything(alice, bob, admin):
    made = [await alice.create(), await bob.create()]
    found = (await admin.ok("GET", "/datasets?sort=created_at"))["items"]
    assert [item["id"] for item in found] == [item["id"] for item in made]


@pytest.mark.row("D5")
async def test_the_list_shows_the_latest_import(alice):
    made = await alice.filled()
    done = await alice.imported(made["id"], pictures(shade=9))
    [item] = (await alice.ok("GET", "/datasets"))["items"]
    assert [found["id"] for found in item["imports"]] == [done["id"]]
