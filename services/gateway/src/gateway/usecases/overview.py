"""Views over several services, asked at the same time with the caller's own rights.

A part whose service does not answer is shown as unavailable: the rest is still worth seeing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import Any, TypeVar
from urllib.parse import quote

import structlog

from common.kernel.errors import NotFound, Problem
from common.web.identity import Principal
from gateway.context import Context
from gateway.domain.routing import OWNERS
from gateway.schemas import Counts, Devices, JobOverview, Overview, Part, Services, Usage, Whole
from gateway.usecases.asking import Asking

log = structlog.get_logger("gateway")

PAGE = 500
MOST_PAGES = 20

P = TypeVar("P", bound=Part)


class _Asking(Asking):
    """Questions by collection, whoever owns it."""

    async def get(self, collection: str, path: str = "", **query: str) -> Any:
        """The JSON at `/api/v1/<collection><path>`. Raises the problem that was answered, or Unavailable."""
        return await self.of(OWNERS[collection], f"{collection}{path}", query)

    async def one(self, collection: str, item_id: str) -> dict[str, Any]:
        """One resource."""
        found: dict[str, Any] = await self.get(collection, f"/{quote(item_id, safe='')}")
        return found


async def overview(context: Context, who: Principal) -> Overview:
    """Counts of everything that the caller may see, and the nodes."""
    asking = _Asking(context, who)
    datasets, algorithms, jobs, models, services, nodes = await asyncio.gather(
        _or_unavailable(_count(asking, "datasets"), Counts()),
        _or_unavailable(_count(asking, "algorithms"), Counts()),
        _or_unavailable(_count(asking, "jobs"), Counts()),
        _or_unavailable(_count(asking, "models"), Counts()),
        _or_unavailable(_count(asking, "services"), Counts()),
        _or_unavailable(_usage(asking), Usage()),
    )
    return Overview(datasets=datasets, algorithms=algorithms, jobs=jobs, models=models, services=services, nodes=nodes)


async def _or_unavailable(part: Awaitable[P], empty: P) -> P:
    try:
        return await part
    except Problem as problem:
        return empty.model_copy(update={"available": False, "reason": problem.detail})
    except (KeyError, TypeError) as error:
        log.warning("an owner's answer is not as agreed", error=repr(error))
        return empty.model_copy(update={"available": False, "reason": "Its owner's answer can't be understood."})


async def _count(asking: _Asking, collection: str) -> Counts:
    states: Counter[str] = Counter()
    cursor = None
    for _ in range(MOST_PAGES):
        query = {"limit": str(PAGE), "sort": "created_at"} | ({"cursor": cursor} if cursor else {})
        page = await asking.get(collection, **query)
        states.update(str(item.get("state", "")) for item in page["items"])
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    return Counts(total=states.total(), by_state=dict(states), complete=cursor is None)


async def _usage(asking: _Asking) -> Usage:
    nodes = [node for node in (await asking.get("nodes"))["items"] if node.get("state") != "lost"]
    usage = Usage(nodes=len(nodes))
    for node in nodes:
        usage.cpu += node["cpu"]
        usage.cpu_used += node["cpu"] - node.get("cpu_free", node["cpu"])
        usage.memory += node["memory"]
        usage.memory_used += node["memory"] - node.get("memory_free", node["memory"])
        for device in node.get("devices", ()):
            kind = usage.devices.setdefault(device["kind"], Devices())
            kind.total += 1
            kind.used += bool(device.get("allocation"))
            kind.simulated += bool(device.get("simulated"))
    return usage


async def job_overview(context: Context, who: Principal, job_id: str) -> JobOverview:
    """A job with all that belongs to it. Raises what train-svc answers where the job itself can't be had."""
    asking = _Asking(context, who)
    job = await asking.one("jobs", job_id)
    dataset, algorithm, (model, services) = await asyncio.gather(
        _whole(asking, "datasets", _id_in(job, "dataset")),
        _whole(asking, "algorithms", _id_in(job, "algorithm")),
        _model_and_services(asking, job.get("model_id")),
    )
    return JobOverview(job=job, dataset=dataset, algorithm=algorithm, model=model, services=services)


def _id_in(job: dict[str, Any], name: str) -> str | None:
    part = job.get(name)
    return part.get("id") if isinstance(part, dict) else job.get(f"{name}_id")


async def _whole(asking: _Asking, collection: str, item_id: str | None) -> Whole:
    if item_id is None:
        return Whole()
    try:
        return Whole(item=await asking.one(collection, item_id))
    except Problem as problem:
        absent = isinstance(problem, NotFound) or problem.status == NotFound.status
        return Whole(available=absent, reason=problem.detail)


async def _model_and_services(asking: _Asking, model_id: str | None) -> tuple[Whole, Services]:
    model = await _whole(asking, "models", model_id)
    ids = (model.item or {}).get("services") or []
    found = await asyncio.gather(*(_whole(asking, "services", str(one)) for one in ids))
    reasons = [one.reason for one in found if not one.available]
    items = [one.item for one in found if one.item is not None]
    return model, Services(items=items, available=not reasons, reason=reasons[0] if reasons else None)
