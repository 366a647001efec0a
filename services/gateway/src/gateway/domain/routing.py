"""Which service owns which collection under `/api/v1`."""

from __future__ import annotations

GATEWAY = "gateway"

OWNERS = {
    "datasets": "dataset-svc",
    "formatted-sets": "dataset-svc",
    "sources": "dataset-svc",
    "algorithms": "algo-svc",
    "images": "algo-svc",
    "engines": "algo-svc",
    "jobs": "train-svc",
    "experiments": "train-svc",
    "models": "train-svc",
    "allocations": "train-svc",
    "nodes": "train-svc",
    "queues": "train-svc",
    "resource-specs": "train-svc",
    "environments": "notebook-svc",
    "projects": "notebook-svc",
    "services": "serving-svc",
    "users": GATEWAY,
    "groups": GATEWAY,
    "api-keys": GATEWAY,
    "login": GATEWAY,
    "overview": GATEWAY,
    "events": GATEWAY,
    "dead-letters": GATEWAY,
    "webhooks": GATEWAY,
    "usage": GATEWAY,
    "audit": GATEWAY,
    "openapi.json": GATEWAY,
}
"""Collection to owner; what is not here does not exist.

Every service has dead letters of its own: here they are the gateway's, and all of them are at `events/dead`.
"""

OPEN = frozenset({"login", "openapi.json"})
"""Collections that need no login; credentials sent along are not even looked at."""

API = "/api/v1/"


def collection_of(path: str) -> str | None:
    """The collection that a path is in; None outside `/api/v1/`."""
    if not path.startswith(API):
        return None
    return path[len(API) :].partition("/")[0]
