"""Gangs: a workload of several members, one for each of its placements, which begin and end together.

Member 0 has the workload's own id, so its handle, log and results are the workload's; the others' ids follow from it,
so a kill between two launches leaves nothing that can't be found. All meet at member 0, and know each other by what
torchrun and its like read (`MASTER_ADDR`, `MASTER_PORT`, `NNODES`, `NODE_RANK`, and a rank each where a node is one
process: `WORLD_SIZE`, `RANK`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from common.ports.runtime import Handle, Observation, Usage, WorkloadState
from common.workloads.workload import Workload

OVER = (WorkloadState.EXITED, WorkloadState.LOST, WorkloadState.GONE)

BROKEN_GRACE_SECONDS = 10.0
"""What members have between SIGTERM and SIGKILL once one of them failed."""

_MEMBER = re.compile(r"-m[1-9][0-9]*\Z")


def size(workload: Workload) -> int:
    """How many members it has."""
    return max(1, len(workload.placements))


def member_id(workload_id: str, rank: int) -> str:
    """What the runtime calls that member."""
    return workload_id if rank == 0 else f"{workload_id}-m{rank}"


def workload_of(member: str) -> str:
    """The workload that a member is of."""
    return _MEMBER.sub("", member)


def handles(workload: Workload) -> list[Handle]:
    """Where each member is, by rank; the ids alone are enough to find what a killed launch may have left."""
    first = workload.handle if workload.handle is not None else {"workload": workload.id}
    rest: list[Handle] = [{"workload": member_id(workload.id, rank)} for rank in range(1, size(workload))]
    return [first, *rest]


def environment(workload: Workload, rank: int) -> dict[str, str]:
    """How a member finds the others; nothing for a workload of one."""
    if size(workload) == 1:
        return {}
    address, _, port = workload.meeting.rpartition(":")
    nodes, own = str(size(workload)), str(rank)
    return {
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "NNODES": nodes,
        "NODE_RANK": own,
        "WORLD_SIZE": nodes,
        "RANK": own,
        "YARD_NODES": nodes,
        "YARD_NODE_RANK": own,
    }


def broken(seen: Sequence[Observation]) -> bool:
    """Whether a member failed while others still run: they can't go on without it."""
    return any(_failed(one) for one in seen) and any(one.state not in OVER for one in seen)


def together(seen: Sequence[Observation]) -> Observation:
    """How the gang stands, from how its members do: it has ended when all have, for the reason of the first that
    failed by itself. A member that can't be seen hides the whole."""
    if len(seen) == 1:
        return seen[0]
    unknown = next((one for one in seen if one.state == WorkloadState.UNKNOWN), None)
    if unknown is not None:
        return unknown
    begun = [one.started_at for one in seen if one.started_at is not None]
    usage = Usage(sum(one.usage.cpu_seconds for one in seen), max(one.usage.peak_memory for one in seen))
    whole = replace(seen[0], started_at=max(begun, default=None), usage=usage)
    if all(one.state in OVER for one in seen):
        ends = [one.ended_at for one in seen if one.ended_at is not None]
        return replace(_reason(seen, whole), ended_at=max(ends, default=None))
    starting = any(one.state == WorkloadState.STARTING for one in seen)
    state = WorkloadState.STARTING if starting else WorkloadState.RUNNING
    return replace(whole, state=state, ended_at=None, exit_code=None, cause=None, detail="")


def _reason(seen: Sequence[Observation], whole: Observation) -> Observation:
    """The whole with the end of the member that failed first, by itself rather than because it was told to end."""
    failed = [(one.cause == "stopped", _ended(one), rank) for rank, one in enumerate(seen) if _failed(one)]
    if not failed:
        return whole
    rank = min(failed)[2]
    first = seen[rank]
    said = first.detail or f"it ended with exit code {first.exit_code}."
    detail = f"Member {rank} of {len(seen)}: {said}"
    return replace(whole, state=first.state, exit_code=first.exit_code, cause=first.cause, detail=detail)


def _failed(one: Observation) -> bool:
    return one.state in OVER and not (one.state == WorkloadState.EXITED and one.exit_code == 0)


def _ended(one: Observation) -> float:
    return one.ended_at.timestamp() if one.ended_at is not None else float("inf")
