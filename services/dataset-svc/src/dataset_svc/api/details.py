"""What is in a version, in figures."""

from __future__ import annotations

from fastapi import APIRouter

from common.web.access import Permission, permits
from common.web.identity import Caller
from dataset_svc.context import Ctx
from dataset_svc.domain.taxonomy import Part
from dataset_svc.schemas.details import DetailsOut
from dataset_svc.usecases import samples

router = APIRouter(prefix="/datasets/{dataset_id}", tags=["contents"])


@router.get("/versions/{number}/details", **permits(Permission.SEE))
async def get_details(dataset_id: str, number: int, context: Ctx, who: Caller, part: Part = Part.TRAIN) -> DetailsOut:
    """What is in a version, in figures: classes, sizes of images, lengths of texts, what occurs together."""
    version, content = await samples.find_content(context, who, dataset_id, number, part)
    return DetailsOut.of(version, part, content)
