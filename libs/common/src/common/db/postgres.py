"""PostgreSQL engines by asyncpg: bounded in connections and in time, and whole again after the server was away.

A connection that its server has closed is noticed when it is taken from the pool, without asking the server. What
fails because the server is away or too slow is raised as `Unavailable`, so that requests answer 503 and loops wait.
"""

from __future__ import annotations

from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from common.kernel.errors import StorageFull, Unavailable

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 30.0
LOCK_SECONDS = 10.0
IDLE_IN_TRANSACTION_SECONDS = 60.0
"""A transaction that somebody forgot gives its locks back after this."""

NO_ANSWER_SECONDS = STATEMENT_SECONDS + 5.0
"""When not even the server's own time-out is heard of: the connection leads nowhere."""

POOL_WAIT_SECONDS = 5.0

DISK_FULL = "53100"
_BUSY = {
    "57014": "a statement took too long",
    "55P03": "a lock was not free in time",
    "53300": "it has no connection left",
    "25P03": "a transaction was idle for too long",
}
"""SQLSTATEs that say `not now` (PostgreSQL manual, appendix A)."""

_CROSSED = {"40P01": "two transactions waited for each other", "40001": "two transactions changed the same rows"}


class Crossed(Unavailable):
    """The database undid this transaction for another's sake: run again, it most likely succeeds."""


def pooled(url: URL, *, pool_size: int, no_answer_seconds: float = NO_ANSWER_SECONDS) -> AsyncEngine:
    """The engine of a service: at most twice `pool_size` connections, the second half only while they are needed."""
    limits = {
        "statement_timeout": STATEMENT_SECONDS,
        "lock_timeout": LOCK_SECONDS,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_SECONDS,
    }
    settings = {name: str(int(seconds * 1000)) for name, seconds in limits.items()}

    async def connect() -> asyncpg.Connection:
        return await _connect(url, {**settings, "jit": "off"}, no_answer_seconds)

    engine = create_async_engine(
        url, async_creator=connect, pool_size=pool_size, max_overflow=pool_size, pool_timeout=POOL_WAIT_SECONDS
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    event.listen(engine.sync_engine, "handle_error", _say_unavailable)
    return engine


def patient(url: URL) -> AsyncEngine:
    """An engine for migrations, whose statements may take as long as they need."""

    async def connect() -> asyncpg.Connection:
        return await _connect(url, {}, None)

    return create_async_engine(url, async_creator=connect, poolclass=NullPool)


async def _connect(url: URL, settings: dict[str, str], no_answer_seconds: float | None) -> asyncpg.Connection:
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        return await asyncpg.connect(
            address, timeout=CONNECT_SECONDS, command_timeout=no_answer_seconds, server_settings=settings
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _unavailable(f"{url.host}:{url.port} does not take connections: {error!r}") from error


def _refuse_closed(adapted: Any, _record: Any, _proxy: Any) -> None:
    if adapted.driver_connection.is_closed():
        raise InvalidatePoolError


def _say_unavailable(context: ExceptionContext) -> None:
    error = context.original_exception
    if not isinstance(error, Exception):
        return  # a cancellation, for which the connection is given up too
    if isinstance(error, TimeoutError):  # only the driver's own: the connection leads nowhere
        context.is_disconnect = True
        if context.connection is not None:
            driver: Any = context.connection.connection.driver_connection
            driver.terminate()
        raise _unavailable("it does not answer") from error
    if context.is_disconnect:
        raise _unavailable(f"the connection was lost: {error}") from error
    state = getattr(error, "sqlstate", None)
    if state == DISK_FULL:
        raise StorageFull("storage_full", "The database's disk is full. Free some space and repeat.") from error
    if (crossed := _CROSSED.get(state or "")) is not None:
        said = f"The database gave way to another request: {crossed}. Repeat it."
        raise Crossed("database_unavailable", said) from error
    if (reason := _BUSY.get(state or "")) is not None:
        raise _unavailable(reason) from error


def _unavailable(reason: str) -> Unavailable:
    return Unavailable("database_unavailable", f"The database is not available now: {reason}. Try again soon.")
