"""Attempts over HTTP."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from common.contracts.job import EndReason
from common.workloads.workload import Phase, Workload
from train_svc.schemas.shared import PlacementOut


class AttemptOut(BaseModel):
    """One try at a job. CPU in seconds, memory in bytes."""

    id: str
    number: int
    phase: Phase
    reason: EndReason | None
    detail: str
    exit_code: int | None
    placements: list[PlacementOut]
    cpu_seconds: float
    peak_memory: int
    metrics: dict[str, float]
    evaluation: dict[str, Any] | None
    notes: list[str]
    log_bytes: int | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, number: int, attempt: Workload, simulated: Container[tuple[str, str]] = ()) -> Self:
        """As it is told; `simulated` are the devices, by node, that are declared only."""
        outcome, result = attempt.outcome, attempt.result
        return cls(
            id=attempt.id,
            number=number,
            phase=attempt.phase,
            reason=outcome.reason if outcome else None,
            detail=outcome.detail if outcome else "",
            exit_code=outcome.exit_code if outcome else None,
            placements=[PlacementOut.of(one, simulated) for one in attempt.placements],
            cpu_seconds=attempt.cpu_seconds,
            peak_memory=attempt.peak_memory,
            metrics=result.get("metrics", {}),
            evaluation=result.get("evaluation"),
            notes=result.get("notes", []),
            log_bytes=result["log"]["size"] if "log" in result else None,
            created_at=attempt.created_at,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
        )
