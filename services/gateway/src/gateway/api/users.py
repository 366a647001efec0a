"""Users."""

from __future__ import annotations

from fastapi import APIRouter, Response

from common.db.uow import UnitOfWork
from common.web.access import Permission, permits, require_see
from common.web.idempotency import IdempotencyKey, create_once
from common.web.identity import Caller
from common.web.paging import PageOf, Paging
from gateway.api.views import made_user, shown_once, user_view
from gateway.context import Ctx
from gateway.domain.user import UserState
from gateway.schemas import GroupsChange, PasswordChange, PasswordReset, RoleChange, UserCreate, UserMade, UserView
from gateway.storage import users, users_table
from gateway.usecases import users as verbs
from gateway.usecases.login import new_user

router = APIRouter(tags=["users"])


@router.get("/users/me", **permits(Permission.USER))
async def who_am_i(who: Caller, context: Ctx) -> UserView:
    """The caller."""
    async with context.kit.store.reading() as connection:
        return user_view(await users.get(connection, who.id))


@router.put("/users/me/password", **permits(Permission.USER))
async def change_password(body: PasswordChange, who: Caller, context: Ctx) -> UserView:
    """Change one's own password; all logins end, API keys stay."""
    current, new = body.current.get_secret_value(), body.new.get_secret_value()
    return user_view(await verbs.change_password(context, who, current, new))


@router.get("/users", **permits(Permission.ADMIN))
async def list_users(
    page: Paging, context: Ctx, q: str | None = None, role: str | None = None, state: str | None = None
) -> PageOf[UserView]:
    """All users; `q` is part of the name. Deleted ones are listed only where `state=deleted` asks for them."""
    conditions = [users_table.c.state != UserState.DELETED] if state is None else []
    if q:
        conditions.append(users_table.c.name.contains(q, autoescape=True))
    if role:
        conditions.append(users_table.c.role == role)
    if state:
        conditions.append(users_table.c.state == state)
    async with context.kit.store.reading() as connection:
        found = await users.page(connection, page, *conditions)
    return PageOf[UserView](items=[user_view(user) for user in found.items], next_cursor=found.next_cursor)


@router.post("/users", status_code=201, response_model=UserMade, **permits(Permission.ADMIN))
async def create_user(body: UserCreate, who: Caller, context: Ctx, key: IdempotencyKey = None) -> Response:
    """Make a user. Without a password one is made and answered, this once."""
    made = None if body.password is not None else verbs.random_password()
    password = body.password.get_secret_value() if body.password is not None else made
    user = await new_user(context, body.name, password or "", body.role)

    async def work(uow: UnitOfWork) -> UserMade:
        return made_user(await verbs.add_user(uow, user))

    return shown_once(await create_once(context.kit.store, who, key, body, work), password=made)


@router.get("/users/{user_id}", **permits(Permission.SEE))
async def get_user(user_id: str, who: Caller, context: Ctx) -> UserView:
    """One user: oneself, or any for an administrator."""
    require_see(who, "user", user_id, user_id, shared=False)
    async with context.kit.store.reading() as connection:
        return user_view(await users.get(connection, user_id))


@router.post("/users/{user_id}/disable", **permits(Permission.ADMIN))
async def disable_user(user_id: str, who: Caller, context: Ctx) -> UserView:
    """No login and no API key of theirs opens anything, from the next request on; what they own stays."""
    return user_view(await verbs.disable(context, who, user_id))


@router.post("/users/{user_id}/enable", **permits(Permission.ADMIN))
async def enable_user(user_id: str, who: Caller, context: Ctx) -> UserView:
    """They may log in again."""
    return user_view(await verbs.enable(context, who, user_id))


@router.delete("/users/{user_id}", status_code=204, **permits(Permission.ADMIN))
async def delete_user(user_id: str, who: Caller, context: Ctx) -> Response:
    """Delete somebody for good: logins and API keys end at once; what they own stays, for administrators to tidy."""
    await verbs.delete(context, who, user_id)
    return Response(status_code=204)


@router.put("/users/{user_id}/role", **permits(Permission.ADMIN))
async def set_role(user_id: str, body: RoleChange, who: Caller, context: Ctx) -> UserView:
    """Make somebody an administrator, or not."""
    return user_view(await verbs.set_role(context, who, user_id, body.role))


@router.put("/users/{user_id}/groups", **permits(Permission.ADMIN))
async def set_groups(user_id: str, body: GroupsChange, who: Caller, context: Ctx) -> UserView:
    """Put somebody into these groups and no others: whose queue their work waits in, and whose quota it counts in."""
    return user_view(await verbs.set_groups(context, who, user_id, body.groups))


@router.put("/users/{user_id}/password", **permits(Permission.ADMIN))
async def reset_password(user_id: str, body: PasswordReset, who: Caller, context: Ctx) -> UserView:
    """Set somebody's password; their logins end."""
    return user_view(await verbs.reset_password(context, who, user_id, body.password.get_secret_value()))
