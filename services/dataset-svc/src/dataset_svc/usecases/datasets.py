"""Making, editing, publishing and deleting datasets (seed 002 §2.1.1, §2.1.3–7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from common.contracts.dataset import DatasetChanged, DatasetDeleted, DatasetOffline, DatasetOnline
from common.contracts.shared import Visibility
from common.db.uow import UnitOfWork
from common.kernel.errors import Fault
from common.kernel.ids import new_id
from common.kernel.names import description_faults, name_faults, raise_faults
from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.dataset import Dataset
from dataset_svc.domain.errors import DatasetStillOnline
from dataset_svc.domain.history import Deed, about_import
from dataset_svc.domain.taxonomy import FORMATS, TestMode, taxonomy_faults
from dataset_svc.formats import purposes
from dataset_svc.history import note, note_changes
from dataset_svc.storage import DATASETS, IMPORTS, UPLOADS
from dataset_svc.usecases.access import check_visibility, to_change
from dataset_svc.usecases.uses import uses_of


@dataclass(frozen=True)
class NewDataset:
    """What a person says of a dataset, unchecked."""

    name: str
    description: str
    purpose: str
    annotation: str
    format: str
    test_mode: str
    visibility: str = Visibility.PRIVATE


async def create_dataset(uow: UnitOfWork, context: Context, who: Principal, new: NewDataset) -> Dataset:
    """A new, empty dataset. Raises Invalid (`invalid_dataset`) with all faults, Forbidden (`admin_only`)."""
    _check(new, context.settings.more_purposes)
    check_visibility(who, Visibility.PRIVATE, Visibility(new.visibility))
    now = uow.clock.now()
    dataset = Dataset(
        id=new_id("ds"),
        name=new.name,
        description=new.description,
        owner=who.id,
        purpose=new.purpose,
        annotation=new.annotation,
        format=new.format,
        test_mode=TestMode(new.test_mode),
        visibility=Visibility(new.visibility),
        created_at=now,
        updated_at=now,
    )
    await DATASETS.add(uow.connection, dataset)
    told = ("name", "visibility", "purpose", "annotation", "format", "test_mode")
    note(uow, dataset.id, Deed.CREATED, {field: str(getattr(dataset, field)) for field in told})
    return dataset


async def edit_dataset(context: Context, who: Principal, dataset_id: str, changes: dict[str, Any]) -> Dataset:
    """Change the basic information. Raises Invalid (`invalid_dataset`), Conflict (`dataset_not_empty`)."""
    async with context.store.work(actor=who.id) as uow:
        dataset = await to_change(uow.connection, who, dataset_id)
        _check(_described(dataset, changes), context.settings.more_purposes)
        if "test_mode" in changes:
            changes = {**changes, "test_mode": TestMode(changes["test_mode"])}
        importing = bool(await storage.active_imports(uow.connection, dataset_id))
        return await _changed(uow, dataset, dataset.edited(importing, **changes))


async def set_visibility(context: Context, who: Principal, dataset_id: str, visibility: Visibility) -> Dataset:
    """Say who else may see and use it while it is online. Raises Forbidden (`admin_only`)."""
    async with context.store.work(actor=who.id) as uow:
        dataset = await to_change(uow.connection, who, dataset_id)
        check_visibility(who, dataset.visibility, visibility)
        return await _changed(uow, dataset, replace(dataset, visibility=visibility))


async def put_online(context: Context, who: Principal, dataset_id: str) -> Dataset:
    """Let it be used. Raises Conflict (`dataset_empty`, `illegal_state`)."""
    async with context.store.work(actor=who.id) as uow:
        dataset = await to_change(uow.connection, who, dataset_id)
        saved = await DATASETS.save(uow.connection, dataset.put_online(), now=uow.clock.now())
        note(uow, saved.id, Deed.ONLINE, {"version": saved.current.number if saved.current else None})
        uow.emit(DatasetOnline(**saved.facts()), subject=saved.id, owner=saved.owner)
        return saved


async def take_offline(context: Context, who: Principal, dataset_id: str) -> Dataset:
    """Let nobody choose it any more. Raises Conflict (`illegal_state`)."""
    async with context.store.work(actor=who.id) as uow:
        dataset = await to_change(uow.connection, who, dataset_id)
        saved = await DATASETS.save(uow.connection, dataset.taken_offline(), now=uow.clock.now())
        note(uow, saved.id, Deed.OFFLINE)
        uow.emit(DatasetOffline(id=saved.id), subject=saved.id, owner=saved.owner)
        return saved


async def delete_dataset(context: Context, who: Principal, dataset_id: str) -> None:
    """Leave only a tombstone. Its files go when nobody holds them any more.

    Raises Conflict (`dataset_online`), which says who uses it.
    """
    try:
        await _bury(context, who, dataset_id)
    except DatasetStillOnline as online:
        raise DatasetStillOnline(dataset_id, await uses_of(context, who, dataset_id)) from online


async def _bury(context: Context, who: Principal, dataset_id: str) -> None:
    async with context.store.work(actor=who.id) as uow:
        dataset = await to_change(uow.connection, who, dataset_id)
        await DATASETS.save(uow.connection, dataset.buried(), now=uow.clock.now())
        await _give_up_what_comes(uow, dataset_id)
        note(uow, dataset_id, Deed.DELETED, {"name": dataset.name})
        uow.emit(DatasetDeleted(id=dataset.id), subject=dataset.id, owner=dataset.owner)
        uow.after_commit(context.ring)


async def _give_up_what_comes(uow: UnitOfWork, dataset_id: str) -> None:
    """Cancel the imports and uploads of a dataset that is being deleted."""
    now = uow.clock.now()
    for item in await storage.active_imports(uow.connection, dataset_id):
        await IMPORTS.save(uow.connection, item.cancelled(now), now=now)
        note(uow, dataset_id, Deed.IMPORT_CANCELLED, about_import(item))
    for upload in await storage.open_uploads(uow.connection, dataset_id):
        await UPLOADS.save(uow.connection, upload.aborted(), now=now)


async def _changed(uow: UnitOfWork, before: Dataset, after: Dataset) -> Dataset:
    """Store a change, and tell those who know the dataset because it is online."""
    if after == before:
        return before
    saved = await DATASETS.save(uow.connection, after, now=uow.clock.now())
    note_changes(uow, before, saved)
    if saved.online:
        uow.emit(DatasetChanged(**saved.facts()), subject=saved.id, owner=saved.owner)
    return saved


def _described(dataset: Dataset, changes: dict[str, Any]) -> NewDataset:
    """The dataset as a person would describe it after these changes."""
    fields = NewDataset.__dataclass_fields__
    return NewDataset(**{name: changes.get(name, str(getattr(dataset, name))) for name in fields})


def _check(new: NewDataset, more: tuple[str, ...]) -> None:
    """Raise Invalid (`invalid_dataset`) with everything that is wrong."""
    visible = [] if new.visibility in tuple(Visibility) else [_unknown_visibility(new.visibility)]
    known = {**FORMATS, **{name: (*FORMATS.get(name, ()), *held) for name, held in purposes().items()}}
    taxonomy = taxonomy_faults(new.purpose, new.annotation, new.format, new.test_mode, more, known)
    raise_faults("dataset", chain(name_faults(new.name), description_faults(new.description), taxonomy, visible))


def _unknown_visibility(text: str) -> Fault:
    return Fault("visibility", f"{text[:80]!r} is none of: {', '.join(Visibility)}.")
