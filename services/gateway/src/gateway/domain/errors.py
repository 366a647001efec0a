"""Problems that only the gateway tells of."""

from __future__ import annotations

from common.kernel.errors import Problem


class TooManyRequests(Problem):
    """429: asked too often; `retry_after` says in how many seconds to ask again (RFC 6585 §4)."""

    status = 429
    title = "Too many requests"


class ReplicaTimeout(Problem):
    """504: a part behind the platform did not answer in time."""

    status = 504
    title = "No answer in time"
