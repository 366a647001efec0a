"""Two instances of serving-svc: the number of replicas is the number wanted, whoever is asked and whoever dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from serving_svc.service import build
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.serving_svc.support import QUICK, Ledger, Replicas, Yard
from tests.support.instances import instance, servers
from tests.support.platform import House


@pytest.fixture
async def yards(
    postgres: Postgres, rabbitmq: RabbitMQ, vhost: str, tmp_path: Path
) -> AsyncIterator[list[tuple[AsyncExitStack, Yard]]]:
    """Two running ones over the same replicas, each of which a test may end; their ledger is a third."""
    replicas, ledger = Replicas(), Ledger()
    clients: dict[str, httpx2.AsyncClient] = {}
    names = ("serving-svc", "train-svc", "algo-svc")
    async with AsyncExitStack() as whole, servers(postgres, rabbitmq.url(vhost), *names) as shared:

        def open_(name: str, *builds: Any) -> Any:
            return instance(name, tmp_path, shared, builds, clients=clients, runtime=replicas)

        async with open_("ledger", ledger.train, ledger.algo) as outside:
            opened = []
            for name in ("serving-0", "serving-1"):
                stack = AsyncExitStack()
                whole.push_async_callback(stack.aclose)
                serving = open_(name, lambda platform: build(platform, QUICK, replicas.client))
                house = await stack.enter_async_context(serving)
                both = House(house.platform, {**outside.services, **house.services}, house.gateway)
                stack.push_async_callback(both.close)
                opened.append((stack, Yard(both, replicas, ledger)))
            yield opened
            for stack, _ in opened:
                await stack.aclose()


@pytest.mark.row("S8")
async def test_scaled_at_both_there_are_as_many_as_wanted_last(yards: list[tuple[AsyncExitStack, Yard]]) -> None:
    one, other = yards[0][1], yards[1][1]
    service = await one.publish()
    await one.act(service, "start", replicas=2)
    await other.reach(service, "running", 2)
    for number in (4, 1, 3):
        answers = await asyncio.gather(
            *(yard.act(service, "scale", replicas=number) for yard in (one, other, one, other))
        )
        assert {answer.status_code for answer in answers} <= {202, 409}, [a.text for a in answers]
        assert 202 in {answer.status_code for answer in answers}
        await other.reach(service, "running", number)
        await one.until(partial(_agree, one, other, service))
    assert len(set(one.replicas.started)) == len(one.replicas.started)
    await other.act(service, "stop")
    await one.reach(service, "stopped")
    await one.all_released()


async def _agree(one: Yard, other: Yard, service: str) -> bool:
    return bool(await one.show(service) == await other.show(service))


async def test_when_one_ends_the_other_watches_and_replaces(yards: list[tuple[AsyncExitStack, Yard]]) -> None:
    one, other = yards[0][1], yards[1][1]
    service = await one.publish()
    await one.act(service, "start", replicas=2)
    await other.reach(service, "running", 2)
    await yards[0][0].aclose()
    dying = (await other.listed(service))[0]["id"]
    other.replicas.ends(dying, 1)

    async def replaced() -> bool:
        ready = [replica["id"] for replica in await other.listed(service) if replica["ready"]]
        return len(ready) == 2 and dying not in ready

    await other.until(replaced)
