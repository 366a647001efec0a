"""API keys: made, listed and revoked by their owners (and revoked by administrators)."""

from __future__ import annotations

from datetime import UTC, datetime

from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, Fault, Invalid
from common.kernel.ids import new_id
from common.web.access import require_change
from common.web.identity import Principal
from gateway.context import Context
from gateway.domain.api_key import SHOWN, ApiKey, KeyState, digest_of
from gateway.identity.watch import note_change
from gateway.storage import active_keys, keys

LAST_YEAR = 9998
"""Later hours leave the calendar when they are turned into another time zone."""


async def add_key(
    context: Context, uow: UnitOfWork, who: Principal, name: str, expires_at: datetime | None, secret: str
) -> ApiKey:
    """Store a new key of the caller. Raises Invalid (`invalid_api_key`) and Conflict (`too_many_api_keys`)."""
    now = context.kit.store.clock.now()
    expires = _in_utc(name, expires_at, now)
    most = context.settings.keys_per_user
    if await active_keys(uow.connection, who.id) >= most:
        raise Conflict("too_many_api_keys", f"You have {most} API keys already. Revoke one first.")
    digest = digest_of(secret)
    key = ApiKey(new_id("key"), name, who.id, secret[:SHOWN], digest, now, now, expires_at=expires)
    await keys.add(uow.connection, key)
    return key


def _in_utc(name: str, expires_at: datetime | None, now: datetime) -> datetime | None:
    faults = []
    if not name.isprintable() or not name.strip():
        faults.append(Fault("name", "The name needs something to read, without control characters."))
    expires = expires_at
    if expires is not None:
        expires = expires.replace(tzinfo=UTC) if expires.tzinfo is None else expires
        if expires <= now:
            faults.append(Fault("expires_at", "That is past. Give a later hour, or none."))
        elif expires.year > LAST_YEAR:
            faults.append(Fault("expires_at", f"Give an hour before {LAST_YEAR + 1}, or none."))
    if faults:
        raise Invalid("invalid_api_key", "The API key can't be made like this.", faults=faults)
    return expires.astimezone(UTC) if expires is not None else None


async def revoke_key(context: Context, who: Principal, key_id: str) -> None:
    """The key opens nothing from now on; revoking twice is no error. Raises NotFound (`api_key_not_found`)."""
    async with context.kit.store.work(actor=who.id) as uow:
        key = await keys.get(uow.connection, key_id)
        require_change(who, "api_key", key.id, key.owner, shared=False)
        if key.state == KeyState.ACTIVE:
            await keys.save(uow.connection, key.revoke(), now=context.kit.store.clock.now())
        await note_change(uow, context.authenticator, key.owner)
