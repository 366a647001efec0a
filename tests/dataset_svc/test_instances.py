"""Two instances of dataset-svc: an upload may come by both, an import is done once, and its doer may die."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from common.contracts.dataset import DatasetImported
from dataset_svc.service import build
from dataset_svc.settings import Settings
from tests.dataset_svc.conftest import SMALL_PARTS, Desk, Place, pictures, zipped
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
    async with kit.store.database.writing() as connection:
        await connection.exec_driver_sql("UPDATE leases SET expires_at = 0 WHERE name = 'imports'")
    assert await kit.leases.acquire("imports", 15.0) is not None
    ended = await desks[0].ended(queued)
    assert ended["state"] == "succeeded", ended
    assert (await stacks[0][1].told(made["id"])).count(DatasetImported.type) == 1
    await stacks[1 - worker][1].swept()
