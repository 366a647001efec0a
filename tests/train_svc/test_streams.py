"""A job that begins while its formatted set still arrives (issue 5, Staging)."""

from __future__ import annotations

import pytest

from common import manifests
from tests.train_svc.conftest import Yard

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
async def test_only_what_is_read_in_order_can_be_read_while_it_arrives(yard: Yard) -> None:
    made = await yard.things()
    raw = await yard.owners.formatted(yard.house.platform, made["dataset_id"])
    for data in ({"formatted_set_id": raw}, {"dataset_id": made["dataset_id"]}):
        body = {"name": "one", "algorithm_id": made["algorithm_id"], **data, "stream": True}
        answer = await yard.alice.post("/jobs", json=body)
        assert answer.status_code == 422
        assert [fault["where"] for fault in answer.json()["faults"]] == ["stream"]
