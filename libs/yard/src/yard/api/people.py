"""Users, logging in, and API keys."""

from __future__ import annotations

from typing import Any, cast

from yard.api.group import Group
from yard.http import Http
from yard.shapes import ApiKey, Login, User


class Users(Group[User]):
    """`/users`."""

    collection, noun = "users", "user"

    def create(self, name: str, password: str, *, role: str = "user", display_name: str = "") -> User:
        """Make a user (administrators); `role` is `user` or `admin`."""
        body = {"name": name, "password": password, "role": role}
        return cast(
            User, self._http.create(self.collection, body | ({"display_name": display_name} if display_name else {}))
        )

    def edit(self, id: str, **changes: Any) -> User:
        """Change fields of a user (administrators)."""
        return self._edit(id, changes)

    def me(self) -> User:
        """Who one is logged in as."""
        return self.show("me")

    def password(self, current: str, new: str) -> None:
        """Change one's own password."""
        self._http.act(self._at("me", "password"), {"current": current, "new": new}, repeat=False)


class ApiKeys(Group[ApiKey]):
    """`/api-keys`."""

    collection, noun = "api-keys", "API key"

    def create(self, name: str) -> ApiKey:
        """Make a key; `key` in the answer is told this once."""
        return cast(ApiKey, self._http.create(self.collection, {"name": name}))


def login(http: Http, name: str, password: str) -> Login:
    """A token for a name and a password. Raises YardError (status 401)."""
    return cast(Login, http.act("login", {"name": name, "password": password}))
