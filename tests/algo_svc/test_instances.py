"""Two instances of algo-svc that start at once on an empty database: what the platform brings is installed once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from algo_svc.service import build
from algo_svc.settings import Settings
from tests.algo_svc.support import FakeEngines, events, until
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.support.instances import instance, servers


async def test_presets_are_installed_once_and_an_engine_is_told_once(
    postgres: Postgres, rabbitmq: RabbitMQ, vhost: str, tmp_path: Path
) -> None:
    engines = FakeEngines()
    builds = [lambda platform: build(platform, Settings())]
    async with servers(postgres, rabbitmq.url(vhost), "algo-svc") as shared, AsyncExitStack() as stack:
        opened = (instance(f"algo-{n}", tmp_path, shared, builds, engines=engines) for n in range(2))
        houses = await asyncio.gather(*(stack.enter_async_context(one) for one in opened))
        lists = [(await house.client("algo-svc").get("/algorithms")).json()["items"] for house in houses]
        assert lists[0] == lists[1]
        names = [algorithm["name"] for algorithm in lists[0]]
        assert len(names) == len(set(names)) > 0
        told = await events(houses[0])
        assert sorted(told) == sorted(set(told))
        admins = [house.client("algo-svc", "admin") for house in houses]
        name = (await admins[0].get("/engines")).json()["items"][0]["name"]
        asked = await asyncio.gather(*(admin.post(f"/engines/{name}/build") for admin in (*admins, *admins)))
        assert {answer.status_code for answer in asked} <= {202, 409}, [answer.text for answer in asked]

        async def built() -> bool:
            return ("image.ready", name) in await events(houses[1])

        await until(built)
        assert (await events(houses[0])).count(("image.ready", name)) == 1
