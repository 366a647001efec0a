"""Jobs, their attempts and what they measured."""

from __future__ import annotations

from typing import Any, TypedDict

from yard.shapes.common import Resource


class Job(Resource, total=False):
    """One piece of work to run; `reason` says why its last attempt ended."""

    reason: str | None
    detail: str
    attempt: int
    algorithm: dict[str, Any]
    dataset: dict[str, Any]
    formatted_set: dict[str, Any] | None
    validation: dict[str, Any] | None
    split: dict[str, Any] | None
    parameters: dict[str, Any]
    resources: dict[str, Any]
    time_limit_seconds: int | None
    progress: float
    note: str
    waiting: dict[str, Any] | None
    giving_way: dict[str, Any] | None
    metrics: dict[str, float]
    evaluation: dict[str, Any] | None
    model_id: str | None
    started_at: str | None
    ended_at: str | None


class Attempt(TypedDict, total=False):
    """One try at a job; `cpu_seconds` and `peak_memory` (bytes) are what it used."""

    number: int
    placements: list[dict[str, Any]]
    phase: str
    reason: str | None
    detail: str
    exit_code: int | None
    cpu_seconds: float
    peak_memory: int
    started_at: str | None
    ended_at: str | None


class Metrics(TypedDict, total=False):
    """Curves of one attempt: name → [[step, value], …]."""

    attempt: int
    series: dict[str, list[list[float]]]
