"""Formatted sets: order, watch, download, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from common.contracts.dataset import FormattedSetFacts
from common.db.uow import UnitOfWork
from common.web.access import Permission, permits
from common.web.downloads import RESPONSES, WantsLink, answer
from common.web.idempotency import IdempotencyKey, create_once
from common.web.identity import Caller
from common.web.paging import PageOf, Paging
from dataset_svc import usecases
from dataset_svc.context import Ctx
from dataset_svc.domain.formatted import SetState
from dataset_svc.schemas import CreateSet, FormattedSetOut, SetFileOut
from dataset_svc.usecases.samples import cursor_of, path_of

router = APIRouter(prefix="/formatted-sets", tags=["formatted sets"])


@router.post("", status_code=202, response_model=FormattedSetOut, **permits(Permission.USER))
async def create_set(body: CreateSet, context: Ctx, who: Caller, key: IdempotencyKey = None) -> Response:
    """Order a part of a dataset version in a format; with `complement` the rest too.

    A record is a file of the dataset, or, where files hold many texts (`single_text`, `json` of texts), one of these:
    rows are cut and shuffled as files are. `recordio` and `lmdb` hold files of one class only; what a format can't hold
    is refused (`invalid_formatted_set`) with the reason and the formats that can. `raw` takes any dataset."""

    async def work(uow: UnitOfWork) -> FormattedSetOut:
        new = usecases.NewSet(**body.model_dump())
        return FormattedSetOut.of(await usecases.order_set(uow, context, who, new))

    return await create_once(context.store, who, key, body, work, status=202)


@router.get("", **permits(Permission.USER))
async def list_sets(
    context: Ctx,
    who: Caller,
    page: Paging,
    q: Annotated[str | None, Query(description="A part of the name")] = None,
    dataset_id: str | None = None,
    format: str | None = None,
    state: SetState | None = None,
) -> PageOf[FormattedSetOut]:
    """One's own sets, and those that the owner of a shared dataset made of it (an administrator sees all)."""
    filters = usecases.SetFilters(q, dataset_id, format, state)
    found, progress = await usecases.list_sets(context, who, page, filters)
    items = [FormattedSetOut.of(item, progress.get(item.id, 0.0)) for item in found.items]
    return PageOf(items=items, next_cursor=found.next_cursor)


@router.get("/{set_id}", **permits(Permission.SEE))
async def get_set(set_id: str, context: Ctx, who: Caller) -> FormattedSetOut:
    """A set: what it was cut from and how, how far it is, and the offer of its complement."""
    return FormattedSetOut.of(*await usecases.find_set(context, who, set_id))


@router.post("/{set_id}/complement", status_code=202, response_model=FormattedSetOut, **permits(Permission.CHANGE))
async def create_complement(set_id: str, context: Ctx, who: Caller) -> FormattedSetOut:
    """Make the rest of its version a set of the same format; asked again it gives the one that there is. Where the
    dataset was deleted and its files are gone, that is refused (`no_complement`)."""

    async def work(uow: UnitOfWork) -> FormattedSetOut:
        return FormattedSetOut.of(await usecases.order_complement(uow, context, who, set_id))

    return await context.store.do(work, who.id)


@router.delete("/{set_id}", status_code=204, **permits(Permission.CHANGE))
async def delete_set(set_id: str, context: Ctx, who: Caller) -> Response:
    """Delete a set; what runs keeps the files it holds."""
    await usecases.delete_set(context, who, set_id)
    return Response(status_code=204)


@router.get("/{set_id}/files", **permits(Permission.SEE))
async def list_files(
    set_id: str,
    context: Ctx,
    who: Caller,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: str | None = None,
) -> PageOf[SetFileOut]:
    """The files of a set, in the order of their paths."""
    found, more = await usecases.list_set_files(context, who, set_id, path_of(cursor), limit)
    return PageOf(
        items=[SetFileOut.of(entry) for entry in found], next_cursor=cursor_of(found[-1].path) if more else None
    )


@router.get("/{set_id}/files/file", response_class=StreamingResponse, responses=RESPONSES, **permits(Permission.SEE))
async def get_file(
    set_id: str, path: str, context: Ctx, who: Caller, request: Request, link: WantsLink = False
) -> Response:
    """The bytes of one file of a set, or where they are."""
    place = await usecases.place_of_set_file(context, who, set_id, path)
    headers = {"ETag": f'"{place.entry.sha256}"'}
    return await answer(place, request, context.store.clock.now(), link=link, headers=headers)


@router.get("/{set_id}/snapshot", **permits(Permission.SERVICE))
async def get_snapshot(set_id: str, context: Ctx) -> FormattedSetFacts:
    """A finished set as a service needs it that is to train on it."""
    return await usecases.set_facts(context, set_id)
