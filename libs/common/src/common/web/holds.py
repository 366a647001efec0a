"""The routes by which a workload's runner holds what it uses, at the owner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response

from common.db.holds import release_hold, take_hold
from common.db.uow import Store, UnitOfWork
from common.web.access import Permission, permits
from common.web.identity import Caller

Exists = Callable[[UnitOfWork, str], Awaitable[None]]


def hold_routes(store_of: Callable[[], Store], collection: str, exists: Exists) -> APIRouter:
    """`PUT` and `DELETE /{collection}/{item}/holds/{holder}`, for the platform's services alone.

    `exists(uow, item)` raises NotFound where there is nothing to hold any more; `item` may be a version's id.
    """
    router = APIRouter(tags=["holds"])

    @router.put(f"/{collection}/{{item}}/holds/{{holder}}", status_code=204, **permits(Permission.SERVICE))
    async def hold(item: str, holder: str, who: Caller) -> Response:
        """Hold it: its files stay until the hold is released. Holding twice is holding once."""
        store = store_of()
        async with store.work() as uow:
            await exists(uow, item)
            await take_hold(uow.connection, item, holder, store.clock.now(), service=who.id)
        return Response(status_code=204)

    @router.delete(f"/{collection}/{{item}}/holds/{{holder}}", status_code=204, **permits(Permission.SERVICE))
    async def release(item: str, holder: str) -> Response:
        """Release it; releasing twice is no error."""
        async with store_of().work() as uow:
            await release_hold(uow.connection, item, holder)
        return Response(status_code=204)

    return router
