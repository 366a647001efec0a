"""`Idempotency-Key`: a create that is sent twice is done once, and answers the same.

The answer is stored in the transaction that does the work (draft-ietf-httpapi-idempotency-key-header).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Header, Response
from pydantic import BaseModel
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.tables import idempotency
from common.db.uow import Store, UnitOfWork
from common.kernel.errors import Invalid
from common.web.identity import Principal

IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, description="Sent again, it is done once"),
]


async def answered_before(store: Store, who: Principal, key: str | None, request: BaseModel | None) -> Response | None:
    """What was answered to that key, None where it is new: for creates that ask others before their transaction.

    Raises as `create_once`, which must still be called: two requests with one key may come at the same time.
    """
    if key is None:
        return None
    async with store.reading() as connection:
        return await _known(connection, who, key, _digest(request))


async def create_once(
    store: Store,
    who: Principal,
    key: str | None,
    request: BaseModel | None,
    work: Callable[[UnitOfWork], Awaitable[BaseModel]],
    *,
    status: int = 201,
) -> Response:
    """Do `work` in one transaction and answer its result; with a key known already, answer what was answered then.

    It may be run again, as `Store.do` says.

    Raises Invalid (`idempotency_key_reused`) where the key came with another request before.
    """
    digest = _digest(request)

    async def once(uow: UnitOfWork) -> Response:
        if key is not None:
            await uow.alone(f"idempotency {who.id} {key}")
            if (before := await _known(uow.connection, who, key, digest)) is not None:
                return before
        body = (await work(uow)).model_dump_json()
        if key is not None:
            row = {"owner": who.id, "key": key, "request": digest, "status": status, "body": body}
            await uow.connection.execute(insert(idempotency).values(**row, created_at=store.clock.now()))
        return Response(body, status, media_type="application/json")

    return await store.do(once, who.id)


def _digest(request: BaseModel | None) -> str:
    content: Any = request.model_dump_json().encode() if request is not None else b""
    return hashlib.sha256(content).hexdigest()


async def _known(connection: AsyncConnection, who: Principal, key: str, digest: str) -> Response | None:
    at = select(idempotency).where(idempotency.c.owner == who.id, idempotency.c.key == key)
    row = (await connection.execute(at)).first()
    if row is None:
        return None
    if row.request != digest:
        raise Invalid("idempotency_key_reused", "This Idempotency-Key came with another request before. Use a new one.")
    return Response(row.body, row.status, {"Idempotency-Replayed": "true"}, media_type="application/json")
