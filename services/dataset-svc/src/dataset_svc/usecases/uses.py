"""Who uses a dataset: what holds it here, and what other services say that they need it for.

A hold is taken when something is prepared to run. What waits for its turn holds nothing yet, so that whoever may use
datasets is asked whether it holds any or not.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from common.contracts.dataset import DatasetDeleted
from common.contracts.parties import heard_by
from common.db.holds import holds_of
from common.kernel.errors import Problem
from common.web.access import may_change
from common.web.identity import Principal
from dataset_svc.context import Context
from dataset_svc.domain.uses import Use, Uses
from dataset_svc.storage import SETS, formatted_sets
from dataset_svc.usecases.access import to_change

log = structlog.get_logger("uses")

_USERS = heard_by(DatasetDeleted.type)
"""The services that follow what becomes of datasets, since they use them."""


async def find_uses(context: Context, who: Principal, dataset_id: str) -> Uses:
    """Who uses a dataset of the caller's. Raises NotFound (`dataset_not_found`), Forbidden (`not_owner`)."""
    async with context.store.reading() as connection:
        await to_change(connection, who, dataset_id)
    return await uses_of(context, who, dataset_id)


async def uses_of(context: Context, who: Principal, dataset_id: str) -> Uses:
    """Who uses it: formatted sets, and the jobs and others that a service has, which wait, run or hold it. Those that
    the caller may not see are counted."""
    async with context.store.reading() as connection:
        held = await holds_of(connection, dataset_id)
        own = [hold.holder for hold in held if hold.service is None]
        sets = await SETS.where(connection, formatted_sets.c.id.in_(own), formatted_sets.c.state != "deleted")
    found = [Use("formatted_set", item.id, item.name, item.owner, str(item.state)) for item in sets]
    services = sorted({*_USERS, *(hold.service for hold in held if hold.service is not None)})
    answers = await asyncio.gather(*(_asked(context, service, dataset_id) for service in services))
    told = dict(zip(services, answers, strict=True))
    known = [answer for answer in answers if answer is not None]
    found += [Use(**row) for answer in known for row in answer["items"]]
    seen = [use for use in found if may_change(who, use.owner)]
    unknown = [service for service, answer in told.items() if answer is None]
    return Uses(seen, len(found) - len(seen), unknown, any(answer["more"] for answer in known))


async def _asked(context: Context, service: str, dataset_id: str) -> dict[str, Any] | None:
    """What a service uses it for; None where that can't be learnt now."""
    try:
        told: dict[str, Any] = await context.kit.calls.get(service, f"/api/v1/uses/datasets/{dataset_id}")
    except Problem as problem:
        log.warning("a holder could not be asked", service=service, dataset_id=dataset_id, reason=problem.detail)
        return None
    return told
