"""Sources for the services that run workloads, which mount them as they are. No person comes in here (row D11)."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from common.contracts.source import SourceFacts, SourceOpening
from common.web.access import Permission, permits
from common.web.identity import Caller
from dataset_svc.context import Ctx
from dataset_svc.usecases import sources

log = structlog.get_logger("sources")

router = APIRouter(tags=["sources"])


class OpenFor(BaseModel):
    """The workload that a source is opened for, which is noted in the log."""

    model_config = ConfigDict(extra="forbid")

    workload: str = Field(max_length=80)


@router.get("/sources/{source_id}/facts", **permits(Permission.SERVICE))
async def get_facts(source_id: str, context: Ctx) -> SourceFacts:
    """What a source is, without its secrets."""
    return await sources.source_facts(context, source_id)


@router.post("/sources/{source_id}/opening", **permits(Permission.SERVICE))
async def open_for(source_id: str, body: OpenFor, context: Ctx, who: Caller, response: Response) -> SourceOpening:
    """How to read a source, secrets included: for the memory of the service that prepares a workload."""
    response.headers["Cache-Control"] = "no-store"
    opening = await sources.source_opening(context, source_id)
    log.info("source opened", source=source_id, workload=body.workload, by=who.id)
    return opening
