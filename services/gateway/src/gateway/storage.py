"""The gateway's tables: users and API keys."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.aggregates import Aggregates, aggregate_table
from common.db.database import may_lock
from gateway.domain.api_key import ApiKey, KeyState
from gateway.domain.user import User, UserState

METADATA = MetaData()

users_table = aggregate_table(
    "users",
    METADATA,
    Column("login", String(255), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
)
keys_table = aggregate_table("api_keys", METADATA, Column("digest", String(64), nullable=False, unique=True))

users = Aggregates("user", users_table, User, columns=lambda user: {"login": user.login, "role": user.role})
keys = Aggregates("api_key", keys_table, ApiKey, columns=lambda key: {"digest": key.digest})


async def user_by_login(connection: AsyncConnection, login: str) -> User | None:
    """The user with that name, as names are compared."""
    found = await users.where(connection, users_table.c.login == login)
    return found[0] if found else None


async def key_by_digest(connection: AsyncConnection, digest: str) -> ApiKey | None:
    """The key with that digest, whatever its state."""
    found = await keys.where(connection, keys_table.c.digest == digest)
    return found[0] if found else None


async def active_keys(connection: AsyncConnection, owner: str) -> int:
    """How many keys of that user open something."""
    mine = select(func.count()).select_from(keys_table)
    mine = mine.where(keys_table.c.owner == owner, keys_table.c.state == KeyState.ACTIVE)
    return int((await connection.execute(mine)).scalar_one())


async def keys_that_open(connection: AsyncConnection, owner: str) -> list[ApiKey]:
    """The keys of that user that are not revoked."""
    return await keys.where(connection, keys_table.c.owner == owner, keys_table.c.state == KeyState.ACTIVE)


async def other_admins(connection: AsyncConnection, user_id: str) -> int:
    """How many active administrators there are beside that user.

    Their rows stay locked until a writing transaction ends, so that two can't remove each other at once (SQLite has
    one writer anyway).
    """
    admins = select(users_table.c.id).where(users_table.c.role == "admin", users_table.c.state == UserState.ACTIVE)
    admins = admins.order_by(users_table.c.id)
    rows = (await connection.execute(admins.with_for_update() if may_lock(connection) else admins)).scalars().all()
    return sum(1 for row in rows if row != user_id)
