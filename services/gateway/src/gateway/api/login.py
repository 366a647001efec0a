"""Logging in."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from common.web import problems
from common.web.access import Permission, permits
from gateway.api.views import user_view
from gateway.context import Ctx
from gateway.domain.errors import TooManyRequests
from gateway.schemas import Login, LoginRequest
from gateway.usecases.login import log_in

router = APIRouter(tags=["login"])


@router.post("/login", response_model=Login, **permits(Permission.ANYONE))
async def login(body: LoginRequest, request: Request, context: Ctx) -> Login | Response:
    """A login token for a name and password; after too many failures 429 with `Retry-After`."""
    address = request.client.host if request.client else "unknown"
    try:
        token, until, user = await log_in(context, body.name, body.password.get_secret_value(), address)
    except TooManyRequests as problem:
        return problems.response(problem)
    return Login(token=token, expires_at=until, user=user_view(user))
