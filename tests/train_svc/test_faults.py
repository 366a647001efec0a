"""A full store, a lying client and a silent stream: clean failures with a reason, and the service goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import text

from common.disk import storage_full
from common.kernel.errors import StorageFull
from common.web.access import declared_permissions
from tests.train_svc.conftest import Yard, eventually, open_yard
from train_svc.api import curves, logs
from train_svc.api.streams import ALIVE
from train_svc.domain.points import Column


class FullFor:
    """Puts into the file store fail for keys that hold `part`, after some of it was written."""

    def __init__(self, yard: Yard, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
        files = yard.house.platform.files
        put = files.put

        async def full(key: str, content: Any, **more: Any) -> Any:
            if part in key:
                raise storage_full(key, "no space left on device")
            return await put(key, content, **more)

        monkeypatch.setattr(files, "put", full)


async def test_results_that_do_not_fit_fail_the_job_and_leave_nothing_half_kept(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await yard.job()
    attempt = await yard.running(job["id"])
    yard.runtime.says(attempt, b"log\n", model=b"weights")
    FullFor(yard, "results/index", monkeypatch)
    yard.runtime.ends(attempt)
    failed = await yard.until(job["id"], "failed")
    assert failed["reason"] == "storage_full"
    assert "no space" in failed["detail"]
    assert failed["model_id"] is None
    prefix = f"jobs/{job['id']}/{attempt}/results"
    assert [info.key async for info in yard.house.platform.files.list(prefix)] == []
    assert (await yard.alice.get(f"/jobs/{job['id']}/log")).text == "log\n"
    monkeypatch.undo()
    await yard.alice.post(f"/jobs/{job['id']}/start")
    again = await yard.running(job["id"])
    yard.runtime.says(again, model=b"weights")
    yard.runtime.ends(again)
    assert (await yard.until(job["id"], "succeeded"))["model_id"]


async def test_a_full_metrics_database_says_so(tmp_path: Path) -> None:
    async with open_yard(tmp_path) as yard:
        metrics = yard.context.metrics
        async with metrics.database.writing() as connection:
            pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        many = Column(list(range(200_000)), [0.5] * 200_000)

        async def limited() -> None:
            async with metrics._writing() as connection:
                await connection.execute(text(f"PRAGMA max_page_count={pages + 8}"))
                await metrics._add(connection, "att", {"loss": many}, strict=True)

        with pytest.raises(StorageFull):
            await limited()
        async with metrics.database.writing() as connection:
            await connection.execute(text("PRAGMA max_page_count=1073741823"))
        assert await metrics.curves("att") == {}
        await metrics.add({"att": {"loss": Column([1], [1.0])}})


async def test_an_evaluation_that_is_too_long_is_a_result_only(tmp_path: Path) -> None:
    async with open_yard(tmp_path, evaluation_bytes=1024) as yard:
        job = await yard.job()
        attempt = await yard.running(job["id"])
        content = b'{"accuracy": 1, "long": "' + b"x" * 2000 + b'"}'
        yard.runtime.workloads[attempt].files["results"]["evaluation.json"] = content
        yard.runtime.ends(attempt)
        ended = await yard.until(job["id"], "succeeded")
        assert ended["evaluation"] is None
        assert "too long" in ended["note"]
        assert (await yard.alice.get(f"/jobs/{job['id']}/results/file?path=evaluation.json")).content == content


async def test_a_silent_stream_says_that_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = set[ModuleType]()

    def watch(module: ModuleType) -> None:
        streamed = module.streamed

        async def seen(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for part in parts:
                if part == ALIVE:
                    alive.add(module)
                yield part

        monkeypatch.setattr(module, "streamed", lambda parts: streamed(seen(parts)))

    async def both() -> bool:
        return alive == {curves, logs}

    watch(curves)
    watch(logs)
    async with open_yard(tmp_path, stream_heartbeat_seconds=0.01) as yard:
        job = await yard.job()
        attempt = await yard.running(job["id"])
        streams = [
            asyncio.create_task(yard.alice.get(f"/jobs/{job['id']}/{what}/stream")) for what in ("log", "metrics")
        ]
        await eventually(both)
        yard.runtime.ends(attempt)
        for answer in await asyncio.gather(*streams):
            assert ": alive\n\n" in answer.text
            assert answer.headers["cache-control"] == "no-cache"


async def test_every_route_declares_a_permission(yard: Yard) -> None:
    declared = declared_permissions(yard.service.app)
    assert [route for route, permission in declared.items() if permission is None] == []
    assert len(declared) >= 30
