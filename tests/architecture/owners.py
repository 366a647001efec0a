"""Which event types there are, and who tells them (the design's contracts)."""

from __future__ import annotations

import re

_ANYONE_WITH_WORKLOADS = frozenset({"train-svc", "notebook-svc", "serving-svc"})
_TOLD = {
    "dataset.{imported,import_failed,online,offline,changed,deleted}": {"dataset-svc"},
    "algorithm.{online,offline,changed,deleted}": {"algo-svc"},
    "image.{ready,failed,deleted}": {"algo-svc"},
    "job.{queued,started,succeeded,failed,stopped,timed_out,preempted,deleted}": {"train-svc"},
    "model.{created,published,shared,deleted}": {"train-svc"},
    "project.{started,stopped,image_saved,published,deleted}": {"notebook-svc"},
    "service.{created,started,scaled,stopped,changed,deleted}": {"serving-svc"},
    "allocation.{granted,refused,preempting,revoked}": {"train-svc"},
    "allocation.{requested,cancelled,confirmed,released}": _ANYONE_WITH_WORKLOADS,
}


def _spelled_out(pattern: str) -> list[str]:
    family, _, verbs = pattern.partition(".")
    return [f"{family}.{verb}" for verb in re.findall(r"[a-z_]+", verbs)]


OWNERS: dict[str, frozenset[str]] = {
    event: frozenset(owners) for pattern, owners in _TOLD.items() for event in _spelled_out(pattern)
}
"""Event type → the services that may be its source."""
