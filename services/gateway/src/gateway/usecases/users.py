"""Users: made, disabled and changed by administrators; everybody changes their own password."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from common.db.aggregates import missing
from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, Forbidden
from common.web.identity import Principal
from gateway.context import Context
from gateway.domain.user import User, UserRole, UserState, check_password, login_of
from gateway.identity.watch import note_change
from gateway.storage import keys, keys_that_open, other_admins, user_by_login, users
from gateway.usecases.login import FIRST_ADMIN, PASSWORD_FILE


async def add_user(uow: UnitOfWork, user: User) -> User:
    """Store a new user. Raises Conflict (`name_taken`)."""
    if await user_by_login(uow.connection, user.login) is not None:
        raise Conflict("name_taken", f"There is a user {user.name} already. Choose another name.")
    await users.add(uow.connection, user)
    return user


async def disable(context: Context, who: Principal, user_id: str) -> User:
    """No login and no API key of that user opens anything from now on."""
    return await _change(context, who, user_id, lambda user: user.disable())


async def enable(context: Context, who: Principal, user_id: str) -> User:
    """The user may log in again; API keys that were not revoked count again."""
    return await _change(context, who, user_id, lambda user: user.enable())


async def set_role(context: Context, who: Principal, user_id: str, role: UserRole) -> User:
    """Another role, from the next request on."""
    return await _change(context, who, user_id, lambda user: user.with_role(role))


async def set_groups(context: Context, who: Principal, user_id: str, groups: Sequence[str]) -> User:
    """Other groups, from the next request on. Raises Invalid (`invalid_groups`)."""
    return await _change(context, who, user_id, lambda user: user.with_groups(groups))


async def delete(context: Context, who: Principal, user_id: str) -> User:
    """Delete a user for good: no login and no API key of theirs opens anything from now on, and the name is free.

    What they own stays theirs, so nobody gets it by taking the name; administrators see, stop and delete it.
    Raises Conflict (`own_account`, `last_administrator`) and NotFound (`user_not_found`).
    """
    if who.id == user_id:
        raise Conflict("own_account", "Nobody deletes themselves. Let another administrator do it.")

    async def revoke(uow: UnitOfWork) -> None:
        for key in await keys_that_open(uow.connection, user_id):
            await keys.save(uow.connection, key.revoke(), now=context.kit.store.clock.now())

    return await _change(context, who, user_id, lambda user: user.delete(), revoke)


async def reset_password(context: Context, who: Principal, user_id: str, password: str) -> User:
    """An administrator sets a password; the user's logins end."""
    async with context.kit.store.reading() as connection:
        user = await users.get(connection, user_id)
    check_password(user.name, password)
    hashed = await context.passwords.hash(password)
    return await _change(context, who, user_id, lambda user: user.with_password(hashed))


async def change_password(context: Context, who: Principal, current: str, new: str) -> User:
    """Set one's own password; all logins end, this one too. Raises Forbidden (`wrong_password`), Invalid."""
    async with context.kit.store.reading() as connection:
        user = await users.get(connection, who.id)
    check_password(user.name, new)
    if not await context.passwords.verify(user.password, current):
        raise Forbidden("wrong_password", "The present password is not the one given.")
    hashed = await context.passwords.hash(new)
    return await _change(context, who, who.id, lambda user: user.with_password(hashed))


async def _nothing_more(_uow: UnitOfWork) -> None:
    """Most changes of a user are changes of the user alone."""


async def _change(
    context: Context,
    who: Principal,
    user_id: str,
    act: Callable[[User], User],
    also: Callable[[UnitOfWork], Awaitable[None]] = _nothing_more,
) -> User:
    """Change a user, and `also` in the same transaction; what is remembered of their credentials is forgotten when it
    commits.

    Raises Conflict (`last_administrator`) where nobody could administrate afterwards, and NotFound
    (`user_not_found`) where the user is deleted.
    """
    async with context.kit.store.work(actor=who.id) as uow:
        before = await users.get(uow.connection, user_id)
        if before.state == UserState.DELETED:
            raise missing("user", user_id)
        after = act(before)
        if before.is_active_admin and not after.is_active_admin and not await other_admins(uow.connection, user_id):
            raise Conflict("last_administrator", "This is the last administrator. Make another one first.")
        await also(uow)
        saved = await users.save(uow.connection, after, now=context.kit.store.clock.now())
        await note_change(uow, context.authenticator, user_id)
        if after.password != before.password and before.login == login_of(FIRST_ADMIN):
            uow.after_commit(lambda: _remove(context.kit.platform.home / PASSWORD_FILE))
    return saved


def _remove(path: Path) -> None:
    """The first password no longer opens anything: its file would only mislead."""
    path.unlink(missing_ok=True)


def random_password() -> str:
    """A password with 144 random bits."""
    return secrets.token_urlsafe(18)
