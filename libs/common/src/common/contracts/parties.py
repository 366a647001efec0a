"""Who tells each event, and which services hear it: for whoever reads the contracts from outside.

A test holds this against the services' own code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from common.kernel.events import EVENT_TYPES

_TELLERS: Mapping[str, tuple[str, ...]] = {
    "algorithm": ("algo-svc",),
    "allocation": ("train-svc",),
    "dataset": ("dataset-svc",),
    "image": ("algo-svc",),
    "job": ("train-svc",),
    "model": ("train-svc",),
    "project": ("notebook-svc",),
    "service": ("serving-svc",),
}
_ANYONE_WITH_WORKLOADS = ("notebook-svc", "serving-svc", "train-svc")
_TOLD_OTHERWISE: Mapping[str, tuple[str, ...]] = {
    "allocation.cancelled": _ANYONE_WITH_WORKLOADS,
    "allocation.confirmed": _ANYONE_WITH_WORKLOADS,
    "allocation.released": _ANYONE_WITH_WORKLOADS,
    "allocation.requested": _ANYONE_WITH_WORKLOADS,
}

_HEARS: Mapping[str, tuple[str, ...]] = {
    "gateway": tuple(f"service.{verb}" for verb in ("changed", "created", "deleted", "scaled", "started", "stopped")),
    "serving-svc": (
        "allocation.granted",
        "allocation.preempting",
        "allocation.refused",
        "allocation.revoked",
        "model.published",
    ),
    "train-svc": (
        *(f"algorithm.{verb}" for verb in ("changed", "deleted", "offline", "online")),
        *(
            f"allocation.{verb}"
            for verb in (
                "cancelled",
                "confirmed",
                "granted",
                "preempting",
                "refused",
                "released",
                "requested",
                "revoked",
            )
        ),
        *(f"dataset.{verb}" for verb in ("changed", "deleted", "offline", "online")),
    ),
}
"""Beside these the gateway hears every event, for its live stream."""


def told_by(event_type: str) -> tuple[str, ...]:
    """The services that may be the `source` of that event. Raises KeyError for a family that nobody tells."""
    return _TOLD_OTHERWISE.get(event_type) or _TELLERS[event_type.partition(".")[0]]


def heard_by(event_type: str) -> tuple[str, ...]:
    """The services whose state depends on that event; the gateway's live stream is not counted."""
    return tuple(service for service, types in _HEARS.items() if event_type in types)


def heard_types() -> Iterable[tuple[str, str]]:
    """Every (service, event type) that is heard."""
    return [(service, event_type) for event_type in sorted(EVENT_TYPES) for service in heard_by(event_type)]
