"""API keys."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from common.db.uow import UnitOfWork
from common.web.access import Permission, permits
from common.web.idempotency import IdempotencyKey, create_once
from common.web.identity import Caller
from common.web.paging import PageOf, Paging
from gateway.api.views import made_key, shown_once
from gateway.context import Ctx
from gateway.domain.api_key import new_secret
from gateway.schemas import KeyCreate, KeyMade, KeyView
from gateway.storage import keys, keys_table
from gateway.usecases.keys import add_key, revoke_key

router = APIRouter(tags=["api-keys"])


@router.post("/api-keys", status_code=201, response_model=KeyMade, **permits(Permission.USER))
async def create_key(body: KeyCreate, who: Caller, context: Ctx, key: IdempotencyKey = None) -> Response:
    """Make an API key with the caller's rights. It is shown this once."""
    secret = new_secret()

    async def work(uow: UnitOfWork) -> KeyMade:
        return made_key(await add_key(context, uow, who, body.name, body.expires_at, secret))

    return shown_once(await create_once(context.kit.store, who, key, body, work), key=secret)


@router.get("/api-keys", **permits(Permission.USER))
async def list_keys(
    page: Paging, who: Caller, context: Ctx, state: Literal["active", "revoked"] = "active"
) -> PageOf[KeyView]:
    """The caller's own keys."""
    mine = (keys_table.c.owner == who.id, keys_table.c.state == state)
    async with context.kit.store.reading() as connection:
        found = await keys.page(connection, page, *mine)
    shown = [KeyView(**made_key(key).model_dump(exclude={"key"})) for key in found.items]
    return PageOf[KeyView](items=shown, next_cursor=found.next_cursor)


@router.delete("/api-keys/{key_id}", status_code=204, **permits(Permission.CHANGE))
async def delete_key(key_id: str, who: Caller, context: Ctx) -> Response:
    """Revoke a key, at once and for ever."""
    await revoke_key(context, who, key_id)
    return Response(status_code=204)
