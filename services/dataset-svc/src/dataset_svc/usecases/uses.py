"""Who uses a dataset: what holds it here, and what its holders in other services say that they need it for."""

from __future__ import annotations

from typing import Any

import structlog

from common.db.holds import holds_of
from common.kernel.errors import Problem
from common.web.access import may_change
from common.web.identity import Principal
from dataset_svc.context import Context
from dataset_svc.domain.uses import Use, Uses
from dataset_svc.storage import SETS, formatted_sets
from dataset_svc.usecases.access import to_change

log = structlog.get_logger("uses")


async def find_uses(context: Context, who: Principal, dataset_id: str) -> Uses:
    """Who uses a dataset of the caller's. Raises NotFound (`dataset_not_found`), Forbidden (`not_owner`)."""
    async with context.store.reading() as connection:
        await to_change(connection, who, dataset_id)
    return await uses_of(context, who, dataset_id)


async def uses_of(context: Context, who: Principal, dataset_id: str) -> Uses:
    """Who uses it: formatted sets, and the jobs and others for which a service holds it. Those that the caller may not
    see are counted."""
    async with context.store.reading() as connection:
        held = await holds_of(connection, dataset_id)
        own = [hold.holder for hold in held if hold.service is None]
        sets = await SETS.where(connection, formatted_sets.c.id.in_(own), formatted_sets.c.state != "deleted")
    found = [Use("formatted_set", item.id, item.name, item.owner, str(item.state)) for item in sets]
    unknown, more = [], False
    for service in sorted({hold.service for hold in held if hold.service is not None}):
        told = await _asked(context, service, dataset_id)
        if told is None:
            unknown.append(service)
            continue
        found += [Use(**row) for row in told["items"]]
        more = more or told["more"]
    seen = [use for use in found if may_change(who, use.owner)]
    return Uses(seen, len(found) - len(seen), unknown, more)


async def _asked(context: Context, service: str, dataset_id: str) -> dict[str, Any] | None:
    """What a service uses it for; None where that can't be learnt now."""
    try:
        told: dict[str, Any] = await context.kit.calls.get(service, f"/api/v1/uses/datasets/{dataset_id}")
    except Problem as problem:
        log.warning("a holder could not be asked", service=service, dataset_id=dataset_id, reason=problem.detail)
        return None
    return told
