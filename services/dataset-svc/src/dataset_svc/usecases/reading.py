"""Looking at datasets, their imports and versions (rows D5, D7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncConnection

from common.contracts.dataset import DatasetSnapshot
from common.db.aggregates import Page, PageRequest
from common.web.access import may_change, visible
from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.dataset import Dataset, DatasetState
from dataset_svc.domain.imports import Import
from dataset_svc.domain.versions import Version
from dataset_svc.importing import Progress
from dataset_svc.storage import DATASETS, IMPORTS, datasets, imports
from dataset_svc.usecases.access import to_change, to_see
from dataset_svc.usecases.catalogue import catalogue_page, has_class

_SHOWN = 10
"""Imports shown with a dataset, the newest first."""


@dataclass(frozen=True)
class Filters:
    """Which datasets of a list are wanted; None is no matter. `q` is a part of the name, `label` a class of the current
    version. `catalogue`: only what everybody may use, presets first."""

    q: str | None = None
    purpose: str | None = None
    format: str | None = None
    visibility: str | None = None
    state: str | None = None
    online: bool | None = None
    owner: str | None = None
    label: str | None = None
    catalogue: bool = False


@dataclass(frozen=True)
class Seen:
    """A dataset with those of its imports that the caller may see, and how far these are."""

    dataset: Dataset
    imports: Sequence[Import] = ()
    progress: dict[str, Progress] = field(default_factory=dict)


async def find_dataset(context: Context, who: Principal, dataset_id: str) -> Seen:
    """A dataset with its latest imports. Raises NotFound (`dataset_not_found`)."""
    async with context.store.reading() as connection:
        dataset = await to_see(connection, who, dataset_id)
        if not may_change(who, dataset.owner):
            return Seen(dataset)
        of_it = imports.c.dataset_id == dataset_id
        latest = await IMPORTS.page(connection, PageRequest(_SHOWN), of_it)
        return Seen(dataset, latest.items, await _progress(context, connection, latest.items))


async def list_datasets(
    context: Context, who: Principal, page: PageRequest, filters: Filters
) -> tuple[list[Seen], str | None]:
    """The datasets that the caller may see, each with its latest import where they may see that too, and the cursor
    of the next page."""
    async with context.store.reading() as connection:
        wanted = [visible(who, datasets), *_conditions(filters)]
        wanted += [has_class(connection, filters.label)] if filters.label is not None else []
        a_page = catalogue_page if filters.catalogue else DATASETS.page
        found = await a_page(connection, page, *wanted)
        own = [dataset.id for dataset in found.items if may_change(who, dataset.owner)]
        latest = await storage.latest_imports(connection, own)
        progress = await _progress(context, connection, list(latest.values()))
    seen = [Seen(item, [latest[item.id]] if item.id in latest else [], progress) for item in found.items]
    return seen, found.next_cursor


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [datasets.c.state != str(DatasetState.DELETED)]
    for name in ("purpose", "format", "visibility", "state", "owner"):
        if (value := getattr(filters, name)) is not None:
            wanted.append(datasets.c[name] == value)
    if filters.q:
        wanted.append(datasets.c.name.icontains(filters.q, autoescape=True))
    if filters.online is not None:
        online = datasets.c.state == str(DatasetState.ONLINE)
        wanted.append(online if filters.online else ~online)
    return wanted


async def list_imports(
    context: Context, who: Principal, dataset_id: str, page: PageRequest
) -> tuple[Page[Import], dict[str, Progress]]:
    """The imports of a dataset, and how far they are. Raises NotFound, Forbidden (`not_owner`)."""
    async with context.store.reading() as connection:
        await to_change(connection, who, dataset_id)
        found = await IMPORTS.page(connection, page, imports.c.dataset_id == dataset_id)
        return found, await _progress(context, connection, found.items)


async def find_import(
    context: Context, who: Principal, dataset_id: str, import_id: str
) -> tuple[Import, Progress | None]:
    """An import and how far it is. Raises NotFound (`import_not_found`), Forbidden (`not_owner`)."""
    async with context.store.reading() as connection:
        await to_change(connection, who, dataset_id)
        item = await storage.import_of(connection, dataset_id, import_id)
        return item, (await _progress(context, connection, [item])).get(import_id)


async def find_versions(context: Context, who: Principal, dataset_id: str, number: int | None = None) -> list[Version]:
    """All versions of a dataset, the newest first, or the one of that number. Raises NotFound."""
    async with context.store.reading() as connection:
        await to_see(connection, who, dataset_id)
        if number is not None:
            return [await storage.version_numbered(connection, dataset_id, number)]
        return await storage.versions_of(connection, dataset_id)


async def snapshot_of(context: Context, dataset_id: str, number: int | None = None) -> DatasetSnapshot:
    """A dataset as the other services know it, with the version of that number where one is given.

    Raises NotFound (`dataset_not_found`, `version_not_found`).
    """
    async with context.store.reading() as connection:
        dataset = await storage.living(connection, dataset_id)
        if number is None:
            return dataset.snapshot()
        return replace(dataset, current=await storage.version_numbered(connection, dataset_id, number)).snapshot()


async def _progress(context: Context, connection: AsyncConnection, items: Sequence[Import]) -> dict[str, Progress]:
    """How far active imports are: known here, or as another instance last noted it."""
    known = {item.id: context.progress[item.id] for item in items if item.id in context.progress}
    elsewhere = [item.id for item in items if item.active and item.id not in known]
    if elsewhere:
        noted = await storage.progress_of(connection, elsewhere)
        known |= {import_id: Progress.noted(row) for import_id, row in noted.items()}
    return known
