"""Errors as a part of the product: each says what is wrong, where, and what to do (RFC 9457).

A `Problem` is raised anywhere and becomes an answer only in `common.web`. `code` is stable: clients switch on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: `where` (a field, file or line) and `reason` (what, and what to do)."""

    where: str
    reason: str

    def as_json(self) -> dict[str, str]:
        """The fault as it stands in a problem document."""
        return {"where": self.where, "reason": self.reason}


class Problem(Exception):
    """Something that the caller is told. `status` is the HTTP status, `title` the kind, `detail` this case; `soon`
    after how many seconds asking again may help (RFC 9110 §10.2.3), which clients go by. `retry_after` says otherwise.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "The platform failed"
    soon: ClassVar[int | None] = None

    def __init__(self, code: str, detail: str, *, faults: tuple[Fault, ...] | list[Fault] = (), **extra: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.faults = tuple(faults)
        self.extra = extra

    def as_json(self) -> dict[str, Any]:
        """The problem document (RFC 9457 §3), with `code` and, where there are any, `faults`."""
        body: dict[str, Any] = {
            "type": f"urn:modelyard:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.extra,
        }
        if self.faults:
            body["faults"] = [fault.as_json() for fault in self.faults]
        return body


class BadRequest(Problem):
    """400: the request can't be understood."""

    status = 400
    title = "The request can't be understood"


class Unauthenticated(Problem):
    """401: nobody is logged in."""

    status = 401
    title = "Log in first"


class Forbidden(Problem):
    """403: one may see it but not do this."""

    status = 403
    title = "Not allowed"


class NotFound(Problem):
    """404: absent, or not to be seen by the asker; the answer never tells which."""

    status = 404
    title = "Not found"


class Conflict(Problem):
    """409: the state of the thing does not allow it."""

    status = 409
    title = "Conflict with the present state"


class PreconditionFailed(Problem):
    """412: a header names a condition that does not hold (RFC 9110 §15.5.13)."""

    status = 412
    title = "A condition of the request does not hold"


class TooLarge(Problem):
    """413: more than is accepted."""

    status = 413
    title = "Too large"


class UnsupportedMedia(Problem):
    """415: a body of a type that is not taken here (RFC 9110 §15.5.16)."""

    status = 415
    title = "Unsupported media type"


class Invalid(Problem):
    """422: the body is well-formed but wrong; `faults` lists everything at once."""

    status = 422
    title = "Invalid input"


class Unavailable(Problem):
    """503: something that is needed is not there now; trying later may help."""

    status = 503
    title = "Unavailable at present"
    soon: ClassVar[int | None] = 1


class Stopped(Unavailable):
    """503: it was ended on purpose, and somebody has to start it first."""

    soon = None


class StorageFull(Problem):
    """507: no room left where files are kept (RFC 4918 §11.5)."""

    status = 507
    title = "No space left"


class BadUpstream(Problem):
    """502: a part behind the platform answered wrongly or went away."""

    status = 502
    title = "A part behind the platform failed"
