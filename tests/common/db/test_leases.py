"""Leases follow the database's clock; who lost one can do no harm with it."""

import pytest
from sqlalchemy import update

from common.db.leases import LeaseLost, Leases
from common.db.tables import leases


async def expire(database) -> None:
    async with database.writing() as connection:
        await connection.execute(update(leases).values(expires_at=1.0))


async def test_only_one_holds_it(database):
    ours, theirs = Leases(database, "a"), Leases(database, "b")
    lease = await ours.acquire("loop", 30)
    assert lease is not None
    assert lease.epoch == 1
    assert await theirs.acquire("loop", 30) is None
    assert await ours.renew(lease, 30)


async def test_after_it_ran_out_another_gets_a_higher_epoch_and_the_old_one_is_fenced(database):
    ours, theirs = Leases(database, "a"), Leases(database, "b")
    old = await ours.acquire("loop", 30)
    await expire(database)
    new = await theirs.acquire("loop", 30)
    assert new is not None
    assert old is not None
    assert new.epoch > old.epoch
    assert not await ours.renew(old, 30)
    async with database.writing() as connection:
        await theirs.guard(connection, new)
        with pytest.raises(LeaseLost):
            await ours.guard(connection, old)


async def test_a_run_out_lease_guards_nothing_even_if_nobody_took_it(database):
    ours = Leases(database, "a")
    lease = await ours.acquire("loop", 30)
    assert lease is not None
    await expire(database)
    async with database.writing() as connection:
        with pytest.raises(LeaseLost):
            await ours.guard(connection, lease)


async def test_the_same_holder_after_a_restart_takes_it_at_once_with_a_new_epoch(database):
    before = await Leases(database, "embedded").acquire("loop", 30)
    after = await Leases(database, "embedded").acquire("loop", 30)
    assert before is not None
    assert after is not None
    assert after.epoch == before.epoch + 1


async def test_released_is_free(database):
    ours, theirs = Leases(database, "a"), Leases(database, "b")
    lease = await ours.acquire("loop", 30)
    assert lease is not None
    await ours.release(lease)
    assert await theirs.acquire("loop", 30) is not None
