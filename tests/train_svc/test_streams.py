"""A job that begins while its formatted set still arrives (issue 5, Staging)."""

from __future__ import annotations

import asyncio

import pytest

from common import manifests
from tests.train_svc.conftest import Yard, eventually

SHARDS = {f"data-{n:06d}.tar": f"shard {n}".encode() for n in range(3)}


@pytest.mark.row("D9")
async def test_a_job_reads_a_webdataset_while_it_arrives(yard: Yard) -> None:
    made = await yard.things(formats=("dir", "webdataset"))
    platform = yard.house.platform
    stored = await manifests.store_bytes(platform.files, SHARDS, "sets/shards")
    streamed = await yard.owners.formatted(platform, made["dataset_id"], format="webdataset", manifest=stored)
    algorithm = {"algorithm_id": made["algorithm_id"]}
    job = await yard.job(**algorithm, formatted_set_id=streamed, stream=True)
    assert job["stream"]
    spec = yard.runtime.workloads[await yard.running(job["id"])].spec
    assert spec.environment["YARD_SHARDS"] == "{dataset}/shards.txt"
    [folder] = [mount.source for mount in spec.mounts if mount.name == "dataset"]
    assert (folder / "shards.txt").read_text().split() == list(SHARDS)
    other = await yard.job(**algorithm, formatted_set_id=streamed)
    spec = yard.runtime.workloads[await yard.running(other["id"])].spec
    assert "YARD_SHARDS" not in spec.environment


@pytest.mark.row("D9")
async def test_it_runs_before_the_last_shard_is_there(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a store that is far away: what is behind the first shard comes once the job runs."""
    made = await yard.things(formats=("dir", "webdataset"))
    platform, shard, runs = yard.house.platform, b"x" * (5 << 20), asyncio.Event()
    stored = await manifests.store_bytes(platform.files, dict.fromkeys(SHARDS, shard), "sets/shards")
    streamed = await yard.owners.formatted(platform, made["dataset_id"], format="webdataset", manifest=stored)
    read = platform.files.read

    async def from_afar(key: str, start: int = 0, end: int | None = None) -> bytes:
        if "pack" in key and start >= len(shard):
            await runs.wait()
        return await read(key, start, end)

    monkeypatch.setattr(platform.files, "read", from_afar)
    job = await yard.job(algorithm_id=made["algorithm_id"], formatted_set_id=streamed, stream=True)
    spec = yard.runtime.workloads[await yard.running(job["id"])].spec
    [folder] = [mount.source for mount in spec.mounts if mount.name == "dataset"]
    first, *others = (folder / name for name in SHARDS)
    assert (first.exists(), [one.exists() for one in others]) == (True, [False, False])
    runs.set()

    async def all_there() -> bool:
        return all(one.exists() for one in others)

    await eventually(all_there)
    assert {one.read_bytes() for one in (first, *others)} == {shard}


@pytest.mark.row("D9")
async def test_only_what_is_read_in_order_can_be_read_while_it_arrives(yard: Yard) -> None:
    made = await yard.things()
    raw = await yard.owners.formatted(yard.house.platform, made["dataset_id"])
    for data in ({"formatted_set_id": raw}, {"dataset_id": made["dataset_id"]}):
        body = {"name": "one", "algorithm_id": made["algorithm_id"], **data, "stream": True}
        answer = await yard.alice.post("/jobs", json=body)
        assert answer.status_code == 422
        assert [fault["where"] for fault in answer.json()["faults"]] == ["stream"]
