"""People, their logins and their keys."""

from __future__ import annotations

from typing import TypedDict


class User(TypedDict, total=False):
    """A person who may log in; `role` is `user` or `admin`. `password` is told once, where the platform made it."""

    id: str
    name: str
    role: str
    state: str
    groups: list[str]
    password: str | None
    created_at: str


class Login(TypedDict):
    """A token for later requests, until `expires_at`."""

    token: str
    expires_at: str
    user: User


class ApiKey(TypedDict, total=False):
    """A key for programs; `key` itself is told once, when it is made."""

    id: str
    name: str
    state: str
    prefix: str
    key: str | None
    created_at: str
    expires_at: str | None
