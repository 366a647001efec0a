"""Nodes, resource specs, allocations and queues."""

from __future__ import annotations

from typing import Any, TypedDict


class Node(TypedDict, total=False):
    """A machine of a cluster and what of it is free; `state` is ready, cordoned, draining, missing or lost."""

    name: str
    cluster: str
    domain: str
    labels: dict[str, str]
    simulated: bool
    state: str
    reason: str
    since: str | None
    by: str
    devices_free: int
    cpu: float
    memory: int
    devices: list[dict[str, Any]]
    cpu_free: float
    memory_free: int


class ResourceSpec(TypedDict, total=False):
    """What a name for resources stands for: on one cluster, or (None) wherever that has no meaning of its own."""

    name: str
    cluster: str | None
    count: int
    accelerator: str
    cpu: float
    memory: int
    model: str | None
    nodes: int
    selectors: dict[str, str]
    meaning: dict[str, str]
    source: str


class Allocation(TypedDict, total=False):
    """The promise of certain devices to one workload: waiting (`position` from 1), or granted with placements."""

    id: str
    name: str
    state: str
    owner: str
    workload: str
    kind: str
    resources: dict[str, Any]
    placements: list[dict[str, Any]]
    position: int | None
    detail: str


class Queue(TypedDict, total=False):
    """What one group may use, and who waits for it. CPU in cores, memory in bytes, accelerators by the piece."""

    id: str
    name: str
    group: str
    guaranteed: dict[str, float]
    maximum: dict[str, float]
    borrowing: dict[str, float] | None
    cohort: str | None
    weight: float
    used: dict[str, float]
    granted: int
    waiting_total: int
    waiting: list[dict[str, Any]]
