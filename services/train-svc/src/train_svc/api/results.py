"""The results of a job's attempt: listed, and downloaded one by one or as a zip (row T17)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from common import manifests
from common.contracts.shared import ManifestRef
from common.kernel.errors import NotFound
from common.ports.files import Files
from common.web.access import Permission, permits
from common.web.downloads import RESPONSES, Place, WantsLink, answer, attachment
from common.web.identity import Caller
from common.web.paging import PageOf
from common.workloads import storage as workloads
from train_svc import usecases
from train_svc.api.downloads import zipped
from train_svc.api.logs import Attempt
from train_svc.context import Context, Ctx
from train_svc.domain.errors import no_file
from train_svc.domain.job import Job
from train_svc.schemas.jobs import FileOut

router = APIRouter(tags=["jobs"])

Limit = Annotated[int, Query(ge=1, le=10_000, description="How many at the most")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before")]
FilePath = Annotated[str, Query(min_length=1, max_length=4096, description="The file's path in the list")]


@router.get("/jobs/{job_id}/results", **permits(Permission.SEE))
async def list_results(
    context: Ctx,
    who: Caller,
    job_id: str,
    attempt: Attempt = None,
    limit: Limit = 1000,
    cursor: Cursor = None,
) -> PageOf[FileOut]:
    """The files that an attempt left in its results folder; none as long as it runs."""
    ref = await _results(context, await usecases.seen(context, who, job_id), attempt)
    if ref is None:
        return PageOf(items=[])
    return await listed(context.kit.platform.files, ref, limit, cursor)


@router.get(
    "/jobs/{job_id}/results/file", response_class=StreamingResponse, responses=RESPONSES, **permits(Permission.SEE)
)
async def get_result(
    context: Ctx,
    who: Caller,
    request: Request,
    job_id: str,
    path: FilePath,
    attempt: Attempt = None,
    link: WantsLink = False,
) -> Response:
    """One file, or where it is."""
    ref = await _results(context, await usecases.seen(context, who, job_id), attempt)
    if ref is None:
        raise no_file("results", path)
    place = await place_of(context.kit.platform.files, ref, path, "results")
    return await answer(place, request, context.kit.store.clock.now(), link=link)


@router.get("/jobs/{job_id}/results.zip", response_class=StreamingResponse, **permits(Permission.SEE))
async def get_results(context: Ctx, who: Caller, job_id: str, attempt: Attempt = None) -> Response:
    """All of them as a zip."""
    job = await usecases.seen(context, who, job_id)
    ref = await _results(context, job, attempt)
    if ref is None:
        raise NotFound("no_results", "There are no results: the attempt has not ended, or it left no file.")
    return all_files(context.kit.platform.files, ref, f"{job.name}-{attempt or job.attempt}.zip")


async def _results(context: Context, job: Job, number: int | None) -> ManifestRef | None:
    async with context.kit.store.reading() as connection:
        attempt = await workloads.get(connection, job.attempt_id(number))
    kept = attempt.result.get("results")
    return ManifestRef.model_validate(kept) if kept else None


async def listed(files: Files, ref: ManifestRef, limit: int, cursor: str | None) -> PageOf[FileOut]:
    """A page of a manifest's files, in the order of paths; the cursor is the last path of the page before."""
    items: list[FileOut] = []
    async for entry in manifests.read(files, ref):
        if cursor is not None and entry.path <= cursor:
            continue
        if len(items) == limit:
            return PageOf(items=items, next_cursor=items[-1].path)
        items.append(FileOut(path=entry.path, size=entry.size, sha256=entry.sha256))
    return PageOf(items=items)


async def place_of(files: Files, ref: ManifestRef, path: str, what: str) -> Place:
    """Where one file is. Raises NotFound (`file_not_found`)."""
    try:
        return Place(files, ref, await manifests.find(files, ref, path))
    except NotFound as absent:
        raise no_file(what, path) from absent


def all_files(files: Files, ref: ManifestRef, name: str) -> Response:
    """All files of a manifest as a zip with that name."""
    return StreamingResponse(zipped(files, ref), media_type="application/zip", headers=attachment(name))
