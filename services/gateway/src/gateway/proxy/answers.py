"""Answers that the gateway gives by itself, below any framework."""

from __future__ import annotations

import orjson
from starlette.types import Send

from common.kernel.errors import Problem, Unavailable
from common.web.problems import PROBLEM_JSON, SOON
from gateway.proxy.headers import Headers


async def answer_problem(send: Send, problem: Problem, extra: Headers | None = None) -> None:
    """A problem document (RFC 9457)."""
    body = orjson.dumps(problem.as_json())
    headers = [
        (b"content-type", PROBLEM_JSON.encode()),
        (b"content-length", str(len(body)).encode()),
        *(extra or ()),
    ]
    if problem.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if "retry_after" in problem.extra or problem.status == Unavailable.status:
        headers.append((b"retry-after", str(problem.extra.get("retry_after", SOON)).encode()))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
