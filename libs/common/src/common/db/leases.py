"""Leases: who may run a loop, for how long, with a fencing epoch.

Only the database's clock counts, so a service whose clock is wrong does no harm. Each new holder gets a higher
epoch; a write that is guarded by its lease fails once somebody else holds it (Kleppmann, fencing tokens).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.database import Database
from common.db.tables import leases


class LeaseLost(Exception):
    """Somebody else holds the lease, or it ran out: nothing may be written under it."""


@dataclass(frozen=True)
class Lease:
    """The right to run something. `epoch` grows with every new holding."""

    name: str
    holder: str
    epoch: int


class Leases:
    """The leases of one service, for one instance (`holder`) of it."""

    def __init__(self, database: Database, holder: str) -> None:
        self._database = database
        self.holder = holder
        its = [leases.c[name] == bindparam(f"its_{name}") for name in ("name", "holder", "epoch")]
        guarded = select(leases.c.epoch).where(*its, leases.c.expires_at >= database.now())
        self._guarded = guarded if database.is_sqlite else guarded.with_for_update()

    async def acquire(self, name: str, seconds: float) -> Lease | None:
        """Take the lease if it is free, has run out or was this holder's; None where another holds it."""
        now = self._database.now()
        make = sqlite_insert if self._database.is_sqlite else pg_insert
        row = make(leases).values(name=name, holder=self.holder, epoch=1, expires_at=now + seconds)
        upsert = row.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": self.holder, "epoch": leases.c.epoch + 1, "expires_at": now + seconds},
            where=(leases.c.expires_at < now) | (leases.c.holder == self.holder),
        ).returning(leases.c.epoch)
        async with self._database.writing() as connection:
            epoch = (await connection.execute(upsert)).scalar_one_or_none()
        return Lease(name, self.holder, int(epoch)) if epoch is not None else None

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Hold it longer; False where it is lost."""
        now = self._database.now()
        mine = update(leases).where(_held(lease), leases.c.expires_at >= now).values(expires_at=now + seconds)
        async with self._database.writing() as connection:
            return bool((await connection.execute(mine)).rowcount)

    async def release(self, lease: Lease) -> None:
        """Give it up at once; releasing a lost one is no error."""
        async with self._database.writing() as connection:
            await connection.execute(update(leases).where(_held(lease)).values(expires_at=0.0))

    async def guard(self, connection: AsyncConnection, lease: Lease) -> None:
        """Raise LeaseLost unless it is held now; within a transaction, this fences what follows."""
        held = {"its_name": lease.name, "its_holder": lease.holder, "its_epoch": lease.epoch}
        if (await connection.execute(self._guarded, held)).first() is None:
            raise LeaseLost(f"{lease.name}, epoch {lease.epoch}, is no longer held by {lease.holder}")

    async def forget(self, name: str) -> None:
        """Remove a lease that nothing needs any more."""
        async with self._database.writing() as connection:
            await connection.execute(delete(leases).where(leases.c.name == name, leases.c.holder == self.holder))


def _held(lease: Lease) -> ColumnElement[bool]:
    return and_(
        leases.c.name == lease.name,
        leases.c.holder == lease.holder,
        leases.c.epoch == lease.epoch,
    )
