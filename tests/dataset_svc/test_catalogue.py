"""The catalogue: what everybody may use, presets first, found by what it holds."""

import pytest

from common.db.aggregates import PageRequest
from common.db.database import Database
from common.db.migrate import upgrade
from dataset_svc import storage
from dataset_svc.history import history_page
from dataset_svc.usecases.catalogue import has_class
from tests.dataset_svc.conftest import png


async def names(desk, query=""):
    found, cursor = [], None
    while True:
        page = await desk.ok("GET", f"/datasets?{query}" + (f"&cursor={cursor}" if cursor else ""))
        found += [item["name"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            return found


@pytest.mark.row("D10")
async def test_the_catalogue_has_what_everybody_may_use_presets_first(place, alice, bob, admin):
    cats = await alice.filled(name="cats", visibility="public")
    birds = {"鸟 'a'/1.png": png(1), '"b"/1.png': png(2)}
    await place.desk("bob").filled(birds, name="private birds")
    preset = await admin.filled(birds, name="preset birds", visibility="preset")
    dogs = await alice.filled(name="dogs", visibility="public")
    await alice.filled(name="offline", visibility="public")
    for desk, made in ((alice, cats), (admin, preset), (alice, dogs)):
        await desk.ok("POST", f"/datasets/{made['id']}/online")
    for limit in (1, 2, 3, 50):
        for desk in (bob, alice, admin):
            assert await names(desk, f"catalogue=true&limit={limit}") == ["preset birds", "dogs", "cats"]
    assert await names(bob, "catalogue=true&sort=name&visibility=public") == ["cats", "dogs"]
    assert await names(bob, "catalogue=true&q=bird") == ["preset birds"]
    assert await names(bob, "catalogue=true&class=dog&owner=alice&limit=1") == ["dogs", "cats"]
    assert await names(bob, "class=鸟 'a'") == ["preset birds", "private birds"]
    assert await names(bob, 'class="b"&catalogue=true') == ["preset birds"]
    assert await names(bob, "class=nothing") == []
    assert await names(bob, "catalogue=true&purpose=text/classification") == []
    await bob.refused("GET", "/datasets?catalogue=true&cursor=rest.x", 400, "bad_cursor")


@pytest.mark.row("D10")
async def test_what_others_need_of_a_dataset_is_in_what_is_told(place, alice):
    made = await alice.online(visibility="public")
    await alice.ok("PATCH", f"/datasets/{made['id']}", json={"name": "better"})
    [told] = [event for event in await place.events(made["id"]) if event.type == "dataset.online"]
    assert told.data["version"]["digest"] == made["current_version"]["digest"]
    assert (told.data["online"], told.data["visibility"], told.data["version"]["classes"]) == (
        True,
        "public",
        ["cat", "dog"],
    )
    assert (await place.events(made["id"]))[-1].data == {**told.data, "name": "better"}


@pytest.mark.row("D10")
async def test_classes_are_found_on_postgresql_too(place, alice, postgres):
    """The rows of the embedded database, in another."""
    made = [await alice.filled(), await alice.create()]
    async with place.context.store.reading() as connection:
        found = [await storage.DATASETS.get(connection, one["id"]) for one in made]
    url = await postgres.create()
    database = Database(url)
    try:
        await upgrade(database, place.house.service("dataset-svc").migrations)
        async with database.writing() as connection:
            for one in found:
                await storage.DATASETS.add(connection, one)
        async with database.reading() as connection:
            for name, ids in {"cat": [made[0]["id"]], "bird": []}.items():
                page = await storage.DATASETS.page(connection, PageRequest(), has_class(connection, name))
                assert [one.id for one in page.items] == ids
            entries, more = await history_page(connection, made[0]["id"], None, 5)
            assert (entries, more) == ([], None)
    finally:
        await database.close()
        await postgres.drop(url)
