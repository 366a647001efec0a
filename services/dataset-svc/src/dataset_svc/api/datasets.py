"""Datasets themselves: create, list, edit, publish, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from common.contracts.dataset import DatasetSnapshot
from common.contracts.shared import Visibility
from common.db.uow import UnitOfWork
from common.web.access import Permission, permits
from common.web.idempotency import IdempotencyKey, create_once
from common.web.identity import Caller, Principal
from common.web.paging import PageOf, Paging
from dataset_svc import usecases
from dataset_svc.context import Context, Ctx
from dataset_svc.domain.dataset import DatasetState
from dataset_svc.schemas import CreateDataset, DatasetOut, EditDataset, SetVisibility

router = APIRouter(prefix="/datasets", tags=["datasets"])


@router.post("", status_code=201, response_model=DatasetOut, **permits(Permission.USER))
async def create_dataset(body: CreateDataset, context: Ctx, who: Caller, key: IdempotencyKey = None) -> Response:
    """Make an empty dataset."""

    async def work(uow: UnitOfWork) -> DatasetOut:
        new = usecases.NewDataset(**body.model_dump())
        return DatasetOut.of(await usecases.create_dataset(uow, context, who, new))

    return await create_once(context.store, who, key, body, work)


@router.get("", **permits(Permission.USER))
async def list_datasets(
    context: Ctx,
    who: Caller,
    page: Paging,
    q: Annotated[str | None, Query(description="A part of the name")] = None,
    purpose: str | None = None,
    format: str | None = None,
    visibility: Visibility | None = None,
    state: DatasetState | None = None,
    online: bool | None = None,
    owner: str | None = None,
    label: Annotated[str | None, Query(alias="class", description="A class that its current version has")] = None,
    catalogue: Annotated[bool, Query(description="Only what everybody may use, presets first")] = False,
) -> PageOf[DatasetOut]:
    """One's own datasets and those that others share (an administrator sees all)."""
    filters = usecases.Filters(q, purpose, format, visibility, state, online, owner, label, catalogue)
    found, next_cursor = await usecases.list_datasets(context, who, page, filters)
    items = [DatasetOut.of(seen.dataset, tuple(seen.imports), seen.progress) for seen in found]
    return PageOf(items=items, next_cursor=next_cursor)


@router.get("/{dataset_id}", **permits(Permission.SEE))
async def get_dataset(dataset_id: str, context: Ctx, who: Caller) -> DatasetOut:
    """A dataset: what it is, its current version with counts, classes and a preview, its latest imports."""
    return await _shown(context, who, dataset_id)


@router.patch("/{dataset_id}", **permits(Permission.CHANGE))
async def edit_dataset(dataset_id: str, body: EditDataset, context: Ctx, who: Caller) -> DatasetOut:
    """Change the basic information."""
    changes = body.model_dump(exclude_none=True)
    await usecases.edit_dataset(context, who, dataset_id, changes)
    return await _shown(context, who, dataset_id)


@router.delete("/{dataset_id}", status_code=204, **permits(Permission.CHANGE))
async def delete_dataset(dataset_id: str, context: Ctx, who: Caller) -> Response:
    """Delete an offline dataset; what runs keeps the files it holds."""
    await usecases.delete_dataset(context, who, dataset_id)
    return Response(status_code=204)


@router.post("/{dataset_id}/online", **permits(Permission.CHANGE))
async def put_online(dataset_id: str, context: Ctx, who: Caller) -> DatasetOut:
    """Let it be used."""
    await usecases.put_online(context, who, dataset_id)
    return await _shown(context, who, dataset_id)


@router.post("/{dataset_id}/offline", **permits(Permission.CHANGE))
async def take_offline(dataset_id: str, context: Ctx, who: Caller) -> DatasetOut:
    """Let nobody choose it any more."""
    await usecases.take_offline(context, who, dataset_id)
    return await _shown(context, who, dataset_id)


@router.put("/{dataset_id}/visibility", **permits(Permission.CHANGE))
async def set_visibility(dataset_id: str, body: SetVisibility, context: Ctx, who: Caller) -> DatasetOut:
    """Say who else may see and use it while it is online."""
    await usecases.set_visibility(context, who, dataset_id, body.visibility)
    return await _shown(context, who, dataset_id)


@router.get("/{dataset_id}/snapshot", **permits(Permission.SERVICE))
async def get_snapshot(dataset_id: str, context: Ctx, version: int | None = None) -> DatasetSnapshot:
    """The dataset whole, for a service that has not heard of it yet, or needs an earlier version of it."""
    return await usecases.snapshot_of(context, dataset_id, version)


async def _shown(context: Context, who: Principal, dataset_id: str) -> DatasetOut:
    """What GET answers: whoever changed a dataset gets the same document, with its imports."""
    seen = await usecases.find_dataset(context, who, dataset_id)
    return DatasetOut.of(seen.dataset, tuple(seen.imports), seen.progress)
