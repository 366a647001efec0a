"""The one exception of the client: what the platform told (RFC 9457), or why it could not be asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: `where` (a field, file or line) and `reason`."""

    where: str
    reason: str


@dataclass(eq=False)
class YardError(Exception):
    """A request that failed. `code` is stable and may be switched on; `detail` says what to do.

    `status` is the HTTP status, None where the platform did not answer or was not asked. `extra` holds what else the
    problem document said. `again`: the request had been sent before and its answer was lost, so it may be its own
    effect that now stands in its way.
    """

    code: str
    detail: str
    faults: tuple[Fault, ...] = ()
    status: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    again: bool = False

    def __str__(self) -> str:
        return "\n".join(
            [f"{self.detail} [{self.code}]", *(f"  {fault.where}: {fault.reason}" for fault in self.faults)]
        )


_KNOWN = {"type", "title", "status", "code", "detail", "faults"}


def problem_of(status: int, body: bytes) -> YardError:
    """The error that an answer with a status of 400 and above tells of, whether it is a problem document or not."""
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict) or "code" not in told:
        shown = " ".join(body.decode("utf-8", "replace").split())[:_SHOWN]
        return YardError(
            f"http_{status}", f"The platform answered with status {status}: {shown or 'nothing more'}.", status=status
        )
    faults = tuple(_fault(fault) for fault in told.get("faults") or ())
    extra = {key: value for key, value in told.items() if key not in _KNOWN}
    return YardError(str(told["code"]), str(told.get("detail") or told.get("title") or ""), faults, status, extra)


def _fault(told: Any) -> Fault:
    if not isinstance(told, Mapping):
        return Fault("", str(told))
    return Fault(str(told.get("where", "")), str(told.get("reason", "")))
