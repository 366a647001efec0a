"""Agreeing on what a job mounts: its asker's own sources, asked of dataset-svc once (row D11)."""

from __future__ import annotations

from collections.abc import Sequence

from common.contracts.source import SourceFacts
from common.kernel.errors import NotFound, Problem
from common.kernel.ids import is_id
from common.kernel.names import raise_faults
from common.service import Kit
from common.web.access import may_see
from common.web.identity import Principal
from common.workloads.plan import MountPlan
from train_svc.domain.mounts import Mounted, MountRequest, Shared, mount_faults, settled


async def agreed(kit: Kit, who: Principal, requests: Sequence[MountRequest]) -> tuple[Mounted, ...]:
    """What the requests come to. Raises Invalid (`invalid_job`, all faults at once), Unavailable where dataset-svc is
    away."""
    wanted = dict.fromkeys(request.source_id for request in requests)
    told = [facts for facts in [await _facts(kit, source_id) for source_id in wanted] if facts is not None]
    mine = {facts.id: facts for facts in told if may_see(who, facts.owner, shared=False)}
    shared = kit.platform.shared
    raise_faults("job", mount_faults(requests, mine, Shared(shared.paths.keys(), shared.writable)))
    return tuple(settled(request, mine[request.source_id]) for request in requests)


async def _facts(kit: Kit, source_id: str) -> SourceFacts | None:
    if not is_id(source_id):
        return None
    try:
        return SourceFacts.model_validate(await kit.calls.get("dataset-svc", f"/api/v1/sources/{source_id}/facts"))
    except Problem as problem:
        if problem.status == NotFound.status:
            return None
        raise


def mount_plans(mounts: Sequence[Mounted]) -> tuple[MountPlan, ...]:
    """The same as a plan of a workload has it."""
    return tuple(
        MountPlan(name=one.at, source_id=one.source_id, path=one.path, root=one.root, read_only=one.read_only)
        for one in mounts
    )
