"""What was damaged in the file store reaches no job, and its end says which file it is (issue 5, Staging)."""

from __future__ import annotations

import pytest

from tests.train_svc.conftest import Yard


@pytest.mark.row("D12")
async def test_a_damaged_file_ends_the_job_with_its_name_and_is_not_kept(yard: Yard) -> None:
    made = await yard.things()
    platform = yard.house.platform
    address = yard.owners.datasets.snapshots[made["dataset_id"]].version.train.address
    pack = f"{address.rpartition('/')[0]}/pack-0"
    good = await platform.files.read(pack)
    await platform.files.put(pack, good[:-1] + bytes([good[-1] ^ 1]))
    failed = await yard.until((await yard.job(**made))["id"], "failed", "succeeded", "running")
    assert (failed["state"], failed["reason"]) == ("failed", "staging_failed")
    assert "dog/" in failed["detail"]
    await platform.files.put(pack, good)
    await yard.running((await yard.job(**made))["id"])
