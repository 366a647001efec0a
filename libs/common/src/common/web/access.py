"""Who may do what: one decision, one SQL predicate, and a permission declared on every route."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from fastapi import Depends, FastAPI, Request
from sqlalchemy import ColumnElement, Table, or_, true

from common.db.aggregates import missing
from common.kernel.errors import Forbidden
from common.web.identity import Principal, asking, caller


class Permission(StrEnum):
    """What a route asks of the caller.

    `anyone`: no login. `user`: a login. `see`: it must be visible to the caller (else 404). `change`: the caller must
    own it or be an administrator (404 where it can't be seen, 403 where it can). `admin`: an administrator.
    `service`: one of the platform's services.
    """

    ANYONE = "anyone"
    USER = "user"
    SEE = "see"
    CHANGE = "change"
    ADMIN = "admin"
    SERVICE = "service"


def permits(permission: Permission) -> dict[str, Any]:
    """The route arguments that declare (and, as far as the caller alone decides, enforce) a permission.

    `@router.get("/…", **permits(Permission.SEE))`. For `see` and `change` the use case calls `require_see` and
    `require_change` with the thing itself.
    """
    checks = {
        Permission.ANYONE: [],
        Permission.ADMIN: [Depends(_only_admin)],
        Permission.SERVICE: [Depends(_only_service)],
    }.get(permission, [Depends(asking)])
    return {"dependencies": checks, "openapi_extra": {"x-permission": str(permission)}}


async def _only_admin(request: Request) -> None:
    if not caller(request).is_admin:
        raise Forbidden("admin_only", "Only an administrator may do this.")


async def _only_service(request: Request) -> None:
    if caller(request).role != "service":
        raise Forbidden("service_only", "Only the platform's own services may do this.")


def may_see(who: Principal, owner: str, shared: bool) -> bool:
    """Owners and administrators see it; others where it is shared."""
    return who.is_admin or who.id == owner or shared


def may_change(who: Principal, owner: str) -> bool:
    """Owners and administrators change it."""
    return who.is_admin or who.id == owner


def require_see(who: Principal, kind: str, item_id: str, owner: str, shared: bool) -> None:
    """Raises NotFound in the same words as for an absent one."""
    if not may_see(who, owner, shared):
        raise missing(kind, item_id)


def require_change(who: Principal, kind: str, item_id: str, owner: str, shared: bool) -> None:
    """Raises NotFound where it can't be seen, Forbidden (`not_owner`) where it can."""
    require_see(who, kind, item_id, owner, shared)
    if not may_change(who, owner):
        raise Forbidden("not_owner", f"The {kind} {item_id} belongs to somebody else: you may see it, not change it.")


def visible(who: Principal, table: Table) -> ColumnElement[bool]:
    """The same decision as SQL, over an aggregate table."""
    if who.is_admin:
        return true()
    return or_(table.c.owner == who.id, table.c.shared)


def declared_permissions(app: FastAPI) -> dict[tuple[str, str], str | None]:
    """What each `(method, path)` of an app declares; None where it declares nothing, which is a defect."""
    found: dict[tuple[str, str], str | None] = {}
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            found[method.upper(), path] = operation.get("x-permission")
    return found
