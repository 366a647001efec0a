"""Versions: all of a dataset, what one is called, and what is another in one than in another."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from common.manifests.difference import Change
from common.web.access import Permission, permits
from common.web.identity import Caller
from common.web.paging import PageOf
from dataset_svc import usecases
from dataset_svc.context import Ctx
from dataset_svc.domain.taxonomy import Part
from dataset_svc.schemas import VersionOut
from dataset_svc.schemas.versions import ComparisonOut, DifferenceOut, EditVersion, TotalOut, VersionName

router = APIRouter(prefix="/datasets/{dataset_id}/versions", tags=["contents"])


@router.get("", **permits(Permission.SEE))
async def list_versions(dataset_id: str, context: Ctx, who: Caller) -> PageOf[VersionOut]:
    """All versions, the newest first."""
    found = await usecases.find_versions(context, who, dataset_id)
    return PageOf(items=[VersionOut.of(version) for version in found])


@router.get("/{number}", **permits(Permission.SEE))
async def get_version(dataset_id: str, number: int, context: Ctx, who: Caller) -> VersionOut:
    """One version: counts, bytes, class distribution, figures of the content, a preview."""
    [version] = await usecases.find_versions(context, who, dataset_id, number)
    return VersionOut.of(version)


@router.patch("/{number}", **permits(Permission.CHANGE))
async def edit_version(dataset_id: str, number: int, body: EditVersion, context: Ctx, who: Caller) -> VersionOut:
    """Say what a version is called; what it holds never changes."""
    changes = body.model_dump(exclude_none=True)
    return VersionOut.of(await usecases.describe_version(context, who, dataset_id, number, changes))


@router.get("/{before}/diff/{after}", **permits(Permission.SEE))
async def compare_versions(
    dataset_id: str,
    before: int,
    after: int,
    context: Ctx,
    who: Caller,
    kind: Annotated[Change | None, Query(description="Only these: added, removed, changed or renamed")] = None,
    part: Part = Part.TRAIN,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str | None = None,
) -> ComparisonOut:
    """What is another in the second version than in the first: added, removed, changed and renamed files."""
    found = await usecases.compare_versions(
        context, who, dataset_id, (before, after), part=part, kind=kind, limit=limit, cursor=cursor
    )
    return ComparisonOut(
        before=VersionName.of(found.before),
        after=VersionName.of(found.after),
        part=part,
        same=not any(total.files for total in found.totals.values()),
        totals={kind: TotalOut.of(total) for kind, total in found.totals.items()},
        items=[DifferenceOut.of(item) for item in found.items],
        next_cursor=found.next_cursor,
    )
