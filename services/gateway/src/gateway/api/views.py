"""Users and keys as they are shown, and answers whose secret is shown once."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import Response

from gateway.domain.api_key import ApiKey
from gateway.domain.user import User
from gateway.schemas import KeyMade, UserMade, UserView


def user_view(user: User) -> UserView:
    """A user without what is secret."""
    return UserView(**_user(user))


def made_user(user: User) -> UserMade:
    """A new user, as it is remembered for a repeated request: without the password."""
    return UserMade(**_user(user))


def _user(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "owner": user.owner,
        "role": user.role,
        "state": str(user.state),
        "groups": list(user.groups),
        "version": user.version,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }


def made_key(key: ApiKey) -> KeyMade:
    """A key without its secret."""
    return KeyMade(
        id=key.id,
        name=key.name,
        owner=key.owner,
        state=str(key.state),
        prefix=key.prefix,
        expires_at=key.expires_at,
        version=key.version,
        created_at=key.created_at,
        updated_at=key.updated_at,
    )


def shown_once(answer: Response, **secrets: str | None) -> Response:
    """The answer of a create with its secret added; a repeated request gets it without: it is stored nowhere."""
    if "Idempotency-Replayed" in answer.headers:
        return answer
    body = {**orjson.loads(bytes(answer.body)), **secrets}
    return Response(orjson.dumps(body), answer.status_code, media_type="application/json")
