"""Files go when nobody needs them any more, and never before."""

import asyncio

import pytest

from dataset_svc import storage
from tests.dataset_svc.conftest import pictures, zipped


async def gone(place, dataset: str) -> None:
    """Wait until the files of a deleted dataset are gone."""
    await place.tidied(f"datasets/{dataset}/")
    async with asyncio.timeout(60):
        while True:
            async with place.context.store.reading() as connection:
                if await storage.files_state(connection, dataset) == storage.GONE:
                    return
            await asyncio.sleep(0.01)


@pytest.mark.row("D2")
async def test_of_an_import_only_its_version_is_kept(place, alice, home):
    made = await alice.filled()
    prefix = f"datasets/{made['id']}/"
    await place.tidied(prefix, 2)
    address = made["current_version"]["train"]["manifest"]["address"]
    assert await place.keys(prefix) == [address, address.replace("index", "pack-0")]
    await place.swept()


@pytest.mark.row("D2")
async def test_the_store_forgets_an_upload_with_its_import(place, alice, home):
    await alice.filled()
    async with asyncio.timeout(60):
        while list((home / "files" / "uploads").iterdir()):
            place.context.ring()
            await asyncio.sleep(0.01)


@pytest.mark.row("D2")
async def test_an_archive_that_is_made_while_its_upload_is_tidied_away_goes_too(place, alice, monkeypatch):
    """Whoever makes it notes that there is something again, in the midst of the round."""
    made, content = await alice.create(), zipped(pictures())
    upload = await alice.begin(made["id"], content)
    await alice.send(made["id"], upload, content)
    files, noted = place.context.files, asyncio.Event()
    delete = files.delete

    async def late(key):
        await delete(key)
        if not noted.is_set() and upload["id"] in key:
            await files.put(key, b"made meanwhile")
            async with place.context.store.work() as uow:
                await storage.mark_files(uow.connection, storage.uploads, upload["id"], storage.KEPT)
            noted.set()

    monkeypatch.setattr(files, "delete", late)
    await alice.ok("DELETE", f"/datasets/{made['id']}/uploads/{upload['id']}", 204)
    await noted.wait()
    async with asyncio.timeout(60):
        while [one async for one in files.list(f"datasets/{made['id']}/")]:
            place.context.ring()
            await asyncio.sleep(0.01)


@pytest.mark.row("D4")
async def test_a_deleted_dataset_leaves_a_tombstone(place, alice):
    made = await alice.filled()
    await alice.ok("DELETE", f"/datasets/{made['id']}", 204)
    await gone(place, made["id"])
    async with place.context.store.reading() as connection:
        stone = await storage.DATASETS.get(connection, made["id"])
        [version] = await storage.versions_of(connection, made["id"])
    assert (stone.name, str(stone.state)) == (made["name"], "deleted")
    assert version.digest == made["current_version"]["digest"]


@pytest.mark.row("D4")
async def test_what_is_held_stays(place, alice):
    """Deleted while two workloads hold it: the files stay until the second lets go."""
    made, runner = await alice.filled(), place.desk("train-svc")
    holds = f"/datasets/{made['id']}/holds"
    for holder in ("job-1", "job-2", "job-1"):
        await runner.ok("PUT", f"{holds}/{holder}", 204)
    await alice.ok("DELETE", f"/datasets/{made['id']}", 204)
    await runner.ok("PUT", f"{holds}/job-3", 204)
    for holder in ("job-1", "job-3", "job-3", "job-4"):
        await runner.ok("DELETE", f"{holds}/{holder}", 204)
    await several_rounds(place)
    assert made["current_version"]["train"]["manifest"]["address"] in await place.keys()
    await runner.ok("DELETE", f"{holds}/job-2", 204)
    await gone(place, made["id"])
    await runner.refused("PUT", f"{holds}/job-5", 404, "dataset_not_found")
    await runner.ok("DELETE", f"{holds}/job-5", 204)


async def several_rounds(place) -> None:
    """Wait until the loop has looked at everything again: its work on another deleted dataset is done."""
    alice = place.desk("alice")
    for _ in range(2):
        other = await alice.filled(pictures(1, 1))
        await alice.ok("DELETE", f"/datasets/{other['id']}", 204)
        await gone(place, other["id"])


async def test_holds_are_for_services_alone(place, alice, admin):
    made = await alice.filled()
    for desk in (alice, admin):
        await desk.refused("PUT", f"/datasets/{made['id']}/holds/w", 403, "service_only")
    await place.desk("train-svc").refused("PUT", "/datasets/ds-nothing/holds/w", 404, "dataset_not_found")


@pytest.mark.row("D4")
async def test_removing_files_goes_on_after_a_restart(open_place):
    """Killed between deciding that files may go and removing them: nobody can hold them, and they do go."""
    async with open_place() as place:
        alice = place.desk()
        made = await alice.filled()
        await place.tidied(f"datasets/{made['id']}/", 2)
    async with open_place() as place:
        async with place.context.store.work() as uow:
            dataset = await storage.DATASETS.get(uow.connection, made["id"])
            await storage.DATASETS.save(uow.connection, dataset.buried(), now=uow.clock.now())
            await storage.mark_files(uow.connection, storage.datasets, made["id"], storage.GOING)
        runner = place.desk("train-svc")
        await runner.refused("PUT", f"/datasets/{made['id']}/holds/w", 404, "dataset_not_found")
        await gone(place, made["id"])
