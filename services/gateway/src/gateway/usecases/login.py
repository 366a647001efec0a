"""Logging in, and the first administrator."""

from __future__ import annotations

import os
import secrets
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy.exc import IntegrityError

from common.kernel.errors import Unauthenticated
from common.kernel.ids import new_id
from gateway.context import Context
from gateway.domain.errors import TooManyRequests
from gateway.domain.user import User, UserRole, UserState, check_new, login_of
from gateway.storage import other_admins, user_by_login, users

FIRST_ADMIN = "admin"
PASSWORD_FILE = "admin-password"  # noqa: S105 - a file's name

log = structlog.get_logger("gateway")


async def log_in(context: Context, name: str, password: str, address: str) -> tuple[str, datetime, User]:
    """A login token, when it expires, and whose it is.

    Raises Unauthenticated (`bad_login`) in the same words and time for a wrong name, a wrong password and a disabled
    user, and TooManyRequests (`too_many_logins`) after too many failures.
    """
    login = login_of(name)
    _count(context, login, address)
    async with context.kit.store.reading() as connection:
        user = await user_by_login(connection, login)
    if not await context.passwords.verify(user.password if user else None, password) or user is None:
        raise _refused()
    if user.state != UserState.ACTIVE:
        raise _refused()
    context.by_name.succeeded(f"{login}\n{address}")
    context.by_address.uncount(address)
    token, until = context.tokens.make(user.id, user.epoch)
    return token, until, user


def _refused() -> Unauthenticated:
    return Unauthenticated("bad_login", "The name or the password is wrong, or the user is disabled.")


def _count(context: Context, login: str, address: str) -> None:
    now = context.kit.store.clock.monotonic()
    wait = context.by_name.attempt(f"{login}\n{address}", now) or context.by_address.attempt(address, now)
    if wait > 0:
        seconds = int(wait) + 1
        raise TooManyRequests(
            "too_many_logins",
            f"Too many failed logins from {address}. Wait {seconds} seconds, or ask an administrator.",
            retry_after=seconds,
        )


async def make_first_admin(context: Context) -> None:
    """At a first start: an administrator, so that somebody can log in.

    The password is the one that is set, or a random one in the file `admin-password` of the state folder. The file is
    written first: killed in between, the next start uses what stands in it.
    """
    async with context.kit.store.reading() as connection:
        if await other_admins(connection, ""):
            return
    given = context.settings.admin_password
    path = context.kit.platform.home / PASSWORD_FILE
    password = given.get_secret_value() if given is not None else _password_in(path)
    user = await new_user(context, FIRST_ADMIN, password, "admin")
    try:
        async with context.kit.store.work() as uow:
            if not await other_admins(uow.connection, ""):
                await users.add(uow.connection, user)
    except IntegrityError:
        log.info("the first administrator was made by another instance")
    if given is None:
        await _drop_where_it_misleads(context, path, password)


async def _drop_where_it_misleads(context: Context, path: Path, password: str) -> None:
    """Another instance was faster, with a password of its own: the file here opens nothing."""
    async with context.kit.store.reading() as connection:
        made = await user_by_login(connection, login_of(FIRST_ADMIN))
    if not await context.passwords.verify(made.password if made else None, password):
        path.unlink(missing_ok=True)


def _password_in(path: Path) -> str:
    """The password in that file, which is made where there is none. Of several instances that make it one is first."""
    if not path.exists():
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(18) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            log.info("another instance was first to write the administrator's password")
        temporary.unlink()
    return path.read_text().strip()


async def new_user(context: Context, name: str, password: str, role: UserRole) -> User:
    """A new user, not yet stored. Raises Invalid (`invalid_user`)."""
    check_new(name, password)
    now = context.kit.store.clock.now()
    hashed = await context.passwords.hash(password)
    return User(new_id("user"), name, login_of(name), role, UserState.ACTIVE, hashed, now, now)
