"""What a replica is to run: the model and the code, held and staged, on a port (design §4, Workloads)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from common.contracts.job import EndReason
from common.workloads.plan import HoldPlan, Plan, StagePlan
from common.workloads.workload import Asking, Workload, failing_nodes
from serving_svc.domain.service import InferenceService
from serving_svc.settings import Settings


def plan_of(service: InferenceService, settings: Settings) -> Plan:
    """The plan of a replica of this service."""
    part = service.inference
    stages = []
    if service.model is not None:
        stages.append(StagePlan(name="model", variable="MODEL_DIR", manifest=service.model))
    if part.code is not None:
        stages.append(StagePlan(name="code", variable="YARD_CODE_DIR", manifest=part.code))
    return Plan(
        resources=service.needs,
        holds=_holds(service),
        stages=tuple(stages),
        engine=part.engine,
        image=part.image,
        command=(*part.command, *part.arguments),
        environment=_environment(service),
        working_mount="code" if part.code is not None else None,
        log_bytes=settings.log_bytes,
        port=True,
    )


def asking_of(service: InferenceService, before: Sequence[Workload]) -> Asking:
    """How the next replica asks for capacity, after those `before` it: not where they failed by the machine, and in
    the place of the first that gave way to others."""
    gave_way = [one.created_at for one in before if one.stop is not None and one.stop.reason == EndReason.PREEMPTED]
    return Asking(
        priority=service.priority,
        priority_class=service.priority_class,
        groups=service.groups,
        preemptible=service.preemptible,
        anti_affinity=service.id if service.spread else None,
        avoid=failing_nodes(before),
        since=min(gave_way, default=None),
    )


def _holds(service: InferenceService) -> tuple[HoldPlan, ...]:
    holds = []
    if service.model_id is not None:
        holds.append(HoldPlan(service="train-svc", path=f"/api/v1/models/{service.model_id}/holds"))
    if service.lineage is not None and service.lineage.algorithm_id is not None and service.inference.code is not None:
        holds.append(HoldPlan(service="algo-svc", path=f"/api/v1/algorithms/{service.lineage.algorithm_id}/holds"))
    return tuple(holds)


def _environment(service: InferenceService) -> dict[str, str]:
    """The declared parameters with their defaults, and what the algorithm sets."""
    part = service.inference
    defaults = {p.name: _text(p.default) for p in part.parameters if p.default is not None}
    return {**defaults, **part.environment, "YARD_SERVICE_ID": service.id}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
