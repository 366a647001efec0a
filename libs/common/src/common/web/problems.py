"""Every failure becomes a problem document (RFC 9457); nobody ever sees a traceback or a bare 500."""

from __future__ import annotations

import errno
import http
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.types import Send

from common.kernel.errors import Fault, Invalid, Problem, StorageFull, Unavailable

log = structlog.get_logger("web")

PROBLEM_JSON = "application/problem+json"


class InternalError(Problem):
    """500: our own fault; the log knows more under the trace id."""


def headers_of(problem: Problem) -> dict[str, str]:
    """What an answer says besides the document: how to prove who one is, and when to come again."""
    headers = {}
    if problem.status == http.HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if (seconds := problem.extra.get("retry_after", problem.soon)) is not None:
        headers["Retry-After"] = str(seconds)
    return headers


def response(problem: Problem) -> JSONResponse:
    """The answer that tells of a problem."""
    return JSONResponse(problem.as_json(), problem.status, headers_of(problem), media_type=PROBLEM_JSON)


async def answer_problem(send: Send, problem: Problem, extra: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """The same below any framework, with `extra` headers."""
    body = orjson.dumps(problem.as_json())
    headers = [
        (b"content-type", PROBLEM_JSON.encode()),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in headers_of(problem).items()),
        *extra,
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def faults_of(errors: Sequence[Any]) -> list[Fault]:
    """Pydantic's findings as faults: `where` is the path of the field."""
    return [Fault(".".join(str(part) for part in e["loc"]) or "body", str(e["msg"])) for e in errors]


def as_problem(error: Exception) -> Problem:
    """The problem that a failure is told as; what is unexpected is logged whole and told in general words."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("storage_full", "The platform's disk is full. Free some space and repeat the request.")
    if isinstance(error, DBAPIError):
        return _database_problem(error)
    log.error("unexpected failure", exc_info=error)
    return InternalError("internal", "The platform failed unexpectedly; its log tells more. Nothing was changed.")


def _database_problem(error: DBAPIError) -> Problem:
    if isinstance(error.orig, sqlite3.OperationalError) and "full" in str(error.orig):
        return StorageFull("storage_full", "The platform's disk is full. Free some space and repeat the request.")
    log.error("database failure", exc_info=error)
    if isinstance(error.orig, sqlite3.OperationalError) or error.connection_invalidated:
        return Unavailable("database_unavailable", "The database does not answer at present. Repeat the request.")
    return InternalError("internal", "The platform failed unexpectedly; its log tells more. Nothing was changed.")


async def _on_problem(_request: Request, error: Exception) -> JSONResponse:
    return response(as_problem(error))


async def _on_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = faults_of(error.errors())
    named = ", ".join(fault.where for fault in faults[:5])
    return response(Invalid("invalid_request", f"The request has {len(faults)} fault(s): {named}.", faults=faults))


async def _on_http(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    phrase = http.HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    body = {"type": "about:blank", "title": phrase, "status": error.status_code, "code": code, "detail": error.detail}
    return JSONResponse(body, error.status_code, error.headers, media_type=PROBLEM_JSON)


def install(app: FastAPI) -> None:
    """Make the app answer with problem documents only."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(DBAPIError, _on_problem)
    app.add_exception_handler(OSError, _on_problem)
    app.add_exception_handler(Exception, _on_problem)
