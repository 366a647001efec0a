"""Two instances of dataset-svc: an upload may come by both, an import is done once, and its doer may die."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from common.contracts.dataset import DatasetImported
from common.db.uow import Store
from dataset_svc import set_storage, storage
from dataset_svc.reconcile import Sets
from dataset_svc.reconcile.outcomes import Outcomes
from dataset_svc.service import build
from dataset_svc.settings import Settings
from tests.dataset_svc.conftest import SMALL_PARTS, Desk, Place, pictures, zipped
from tests.dataset_svc.test_formatted_sets import order, ready
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.support.instances import instance, servers


@pytest.fixture
async def stacks(
    postgres: Postgres, rabbitmq: RabbitMQ, vhost: str, tmp_path: Path
) -> AsyncIterator[list[tuple[AsyncExitStack, Place]]]:
    """Two running ones, each of which a test may end."""
    settings = Settings(part_bytes=SMALL_PARTS)
    async with servers(postgres, rabbitmq.url(vhost), "dataset-svc") as shared:
        opened = []
        for name in ("dataset-0", "dataset-1"):
            stack = AsyncExitStack()
            builds = [lambda platform: build(platform, settings)]
            house = await stack.enter_async_context(instance(name, tmp_path, shared, builds))
            opened.append((stack, Place(house)))
        yield opened
        for stack, _ in opened:
            await stack.aclose()


@pytest.fixture
def desks(stacks: list[tuple[AsyncExitStack, Place]]) -> list[Desk]:
    return [place.desk() for _, place in stacks]


@pytest.mark.row("D2")
async def test_parts_sent_to_both_become_one_archive_and_one_import(
    stacks: list[tuple[AsyncExitStack, Place]], desks: list[Desk]
) -> None:
    content = zipped(pictures(cats=20, dogs=20))
    made = await desks[0].create()
    upload = await desks[1].begin(made["id"], content)
    numbers = range(1, upload["part_count"] + 1)
    assert len(numbers) > 3
    await asyncio.gather(*(desks[number % 2].send(made["id"], upload, content, [number]) for number in numbers))
    path = f"/datasets/{made['id']}/uploads/{upload['id']}/complete"
    body = {"sha256": hashlib.sha256(content).hexdigest()}
    queued = await asyncio.gather(*(desk.ok("POST", path, 202, json=body) for desk in (*desks, *desks)))
    assert len({item["id"] for item in queued}) == 1
    ended = await desks[0].ended(queued[0])
    assert ended["state"] == "succeeded", ended
    assert await desks[1].ended(queued[0]) == ended
    place = stacks[0][1]
    assert (await place.told(made["id"])).count(DatasetImported.type) == 1
    await place.tidied(f"datasets/{made['id']}/uploads/")
    await place.swept()


@pytest.mark.row("D2")
async def test_a_request_that_meets_the_loop_at_an_import_does_not_wait_for_it_in_a_circle(
    stacks: list[tuple[AsyncExitStack, Place]], desks: list[Desk]
) -> None:
    """Found as a 503 of who completed an upload again while its import began."""
    context = stacks[0][1].context
    made = await desks[0].create()
    item = await desks[0].imported(made["id"], zipped(pictures()))
    lease = await context.kit.leases.acquire("a loop", 60.0)
    assert lease is not None
    async with context.store.work() as uow:
        await storage.living(uow.connection, made["id"])
        loop = asyncio.create_task(Outcomes(context, lease).begin(item["id"]))
        await somebody_waits(context.store)
        await storage.import_of(uow.connection, made["id"], item["id"])
    assert await loop is None, "it has ended before"


@pytest.mark.row("D9")
async def test_a_set_and_its_complement_are_deleted_at_the_same_time(
    stacks: list[tuple[AsyncExitStack, Place]], desks: list[Desk]
) -> None:
    context, made = stacks[0][1].context, await desks[0].filled(pictures())
    one = await ready(desks[0], await order(desks[0], made, "raw", ratio=0.5, complement=True))
    async with context.store.work() as uow:
        await storage.its_dataset(uow.connection, storage.formatted_sets, one["id"])
        deleting = [
            asyncio.create_task(desk.ok("DELETE", f"/formatted-sets/{id}", 204))
            for desk, id in zip(desks, (one["id"], one["complement"]["id"]), strict=True)
        ]
        await somebody_waits(context.store, 2)
        await set_storage.living_set(uow.connection, one["id"])
    await asyncio.gather(*deleting)


@pytest.mark.row("D9")
async def test_noting_how_far_sets_are_does_not_wait_in_a_circle_for_who_deletes_them(
    stacks: list[tuple[AsyncExitStack, Place]], desks: list[Desk]
) -> None:
    context, made = stacks[0][1].context, await desks[0].filled(pictures())
    one = await ready(desks[0], await order(desks[0], made, "raw", ratio=0.5, complement=True))
    first, second = sorted((one["id"], one["complement"]["id"]))
    building = Sets(context)
    building._progress = {first: 0.5, second: 0.5}
    async with context.store.work() as uow:
        await set_storage.living_set(uow.connection, second)
        noting = asyncio.create_task(building._note_progress())
        await somebody_waits(context.store)
        await set_storage.living_set(uow.connection, first)
    await noting
    async with context.store.reading() as connection:
        assert await set_storage.set_progress(connection, [first, second]) == {first: 0.5, second: 0.5}


async def somebody_waits(store: Store, so_many: int = 1) -> None:
    """Until so many transactions wait for a lock."""
    async with asyncio.timeout(60):
        while True:
            async with store.reading() as connection:
                waiting = text("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
                if (await connection.execute(waiting)).scalar_one() >= so_many:
                    return
            await asyncio.sleep(0.01)


async def test_when_the_one_that_imports_ends_the_other_begins_it_again(
    stacks: list[tuple[AsyncExitStack, Place]], desks: list[Desk]
) -> None:
    made = await desks[0].create()
    queued = await desks[0].uploaded(made["id"], zipped(pictures(cats=40, dogs=40)))
    worker = 0
    async with asyncio.timeout(60):
        while not stacks[worker][1].context.progress:
            worker = 1 - worker
            await asyncio.sleep(0.001)
    await stacks[worker][0].aclose()
    ended = await desks[1 - worker].ended(queued)
    assert ended["state"] == "succeeded", ended
    assert (await stacks[1 - worker][1].told(made["id"])).count(DatasetImported.type) == 1


async def test_one_that_lost_its_lease_unnoticed_spoils_nothing(
    stacks: list[tuple[AsyncExitStack, Place]], desks: list[Desk]
) -> None:
    """It goes on for a while beside the new holder, on the same machine: each has a folder of its own."""
    made = await desks[0].create()
    queued = await desks[0].uploaded(made["id"], zipped(pictures(cats=40, dogs=40)))
    worker = 0
    async with asyncio.timeout(60):
        while not stacks[worker][1].context.progress:
            worker = 1 - worker
            await asyncio.sleep(0.001)
    kit = stacks[1 - worker][1].context.kit
    async with asyncio.timeout(60):
        taken = None
        while taken is None:  # who works may be faster and take it anew
            async with kit.store.database.writing() as connection:
                await connection.exec_driver_sql("UPDATE leases SET expires_at = 0 WHERE name = 'imports'")
            taken = await kit.leases.acquire("imports", 15.0)
    ended = await desks[0].ended(queued)
    assert ended["state"] == "succeeded", ended
    assert (await stacks[0][1].told(made["id"])).count(DatasetImported.type) == 1
    await stacks[1 - worker][1].swept()
