"""What people call a version, and what happened to a dataset (rows D3, D12)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from common.kernel.names import description_faults, name_faults, raise_faults
from common.web.access import require_change
from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.history import Deed, Entry, changes_between
from dataset_svc.domain.versions import Version
from dataset_svc.history import history_page, note
from dataset_svc.storage import DATASETS
from dataset_svc.usecases.access import to_change


async def describe_version(
    context: Context, who: Principal, dataset_id: str, number: int, changes: dict[str, Any]
) -> Version:
    """Give a version a name and a description, or take them back. Raises Invalid (`invalid_version`), NotFound."""
    named, described = changes.get("name", ""), changes.get("description", "")
    raise_faults("version", [*(name_faults(named) if named else []), *description_faults(described)])
    async with context.store.work(actor=who.id) as uow:
        dataset = await to_change(uow.connection, who, dataset_id)
        before = await storage.version_numbered(uow.connection, dataset_id, number)
        after = replace(before, **changes)
        if after == before:
            return before
        await storage.describe_version(uow.connection, after)
        if dataset.current is not None and dataset.current.number == number:
            await DATASETS.save(uow.connection, replace(dataset, current=after), now=uow.clock.now())
        pairs = changes_between(before, after, ("name", "description"))
        about = {"version": number, "digest": before.digest}
        note(uow, dataset_id, Deed.VERSION_DESCRIBED, about, changes=pairs)
        return after


async def list_history(
    context: Context, who: Principal, dataset_id: str, cursor: str | None, limit: int
) -> tuple[list[Entry], str | None]:
    """What happened to a dataset, the newest first, also where only its tombstone is left, and the cursor of the next
    page. Raises NotFound (`dataset_not_found`), Forbidden (`not_owner`), BadRequest (`bad_cursor`)."""
    async with context.store.reading() as connection:
        dataset = await DATASETS.get(connection, dataset_id)
        shared = dataset.shared and not dataset.deleted
        require_change(who, "dataset", dataset.id, dataset.owner, shared)
        return await history_page(connection, dataset_id, cursor, limit)
