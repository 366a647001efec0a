"""Models, and the services made of them."""

from __future__ import annotations

from typing import Any, TypedDict

from yard.shapes.common import Resource


class Model(Resource, total=False):
    """What a successful job made, with its lineage."""

    purpose: str
    files: int
    bytes: int
    digest: str
    metrics: dict[str, float]
    job_id: str | None
    lineage: dict[str, Any] | None
    services: list[str]


class Published(Model, total=False):
    """The model, and the id of the service that will come to be."""

    service_id: str


class Service(Resource, total=False):
    """An inference service; `replicas` are wanted, `ready` of them answer. Its `address` never changes."""

    replicas: int
    ready: int
    address: str
    interface: dict[str, Any] | None
    model_id: str | None
    job_id: str | None
    detail: str


class Replica(TypedDict, total=False):
    """One running copy of a service."""

    id: str
    state: str
    ready: bool
    address: str | None
    note: str
    reason: str | None
    detail: str
    exit_code: int | None
    last_lines: str


class TestAnswer(TypedDict, total=False):
    """What the online test sent and got, and which replica answered."""

    status: int
    latency_ms: float
    replica: str
    request: dict[str, Any]
    response: Any
