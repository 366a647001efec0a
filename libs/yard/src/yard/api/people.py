"""Users, logging in, and API keys."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import cast

from yard.api.group import Listing, Shown
from yard.http import Http
from yard.shapes import ApiKey, Login, User

_PASSWORD_BYTES = 15


class Users(Shown[User]):
    """`/users`."""

    collection, noun = "users", "user"

    def create(self, name: str, password: str | None = None, *, role: str = "user") -> User:
        """Make a user (administrators); `role` is `user` or `admin`. Without a password one is made here, and is in
        the answer: nobody knows it later."""
        given = password if password is not None else secrets.token_urlsafe(_PASSWORD_BYTES)
        made = cast(User, self._http.create(self.collection, {"name": name, "password": given, "role": role}))
        return made if password is not None else {**made, "password": given}

    def me(self) -> User:
        """Who one is logged in as."""
        return self.show("me")

    def role(self, id: str, role: str) -> User:
        """Make somebody an administrator (`admin`), or not (`user`)."""
        return cast(User, self._http.put(self._at(id, "role"), {"role": role}))

    def groups(self, id: str, groups: Sequence[str]) -> User:
        """Put somebody into these groups and no others."""
        return cast(User, self._http.put(self._at(id, "groups"), {"groups": list(groups)}))

    def enable(self, id: str) -> User:
        """Let them log in again."""
        return self._verb(id, "enable", leads_to=["active"])

    def disable(self, id: str) -> User:
        """No login and no API key of theirs opens anything; what they own stays."""
        return self._verb(id, "disable", leads_to=["disabled"])

    def delete(self, id: str) -> None:
        """Delete somebody for good (administrators): logins and API keys end at once; what they own stays."""
        self._http.delete(self._at(id))

    def password(self, current: str, new: str) -> User:
        """Change one's own password; all logins end, API keys stay."""
        return cast(User, self._http.put(self._at("me", "password"), {"current": current, "new": new}))

    def reset_password(self, id: str, new: str) -> User:
        """Set somebody's password (administrators); their logins end."""
        return cast(User, self._http.put(self._at(id, "password"), {"password": new}))


class ApiKeys(Listing[ApiKey]):
    """`/api-keys`."""

    collection, noun = "api-keys", "API key"

    def create(self, name: str, *, expires_at: str | None = None) -> ApiKey:
        """Make a key with one's own rights; `key` in the answer is told this once. `expires_at` is RFC 3339."""
        body = {"name": name, **({"expires_at": expires_at} if expires_at else {})}
        made = cast(ApiKey, self._http.create(self.collection, body))
        if made.get("key"):
            return made
        self.delete(made["id"])  # the answer that told it was lost on the way: nobody knows it, so another is made
        return cast(ApiKey, self._http.create(self.collection, body))

    def delete(self, id: str) -> None:
        """Revoke it, at once and for ever."""
        self._http.delete(self._at(id))


def login(http: Http, name: str, password: str) -> Login:
    """A token for a name and a password. Raises YardError (status 401)."""
    return cast(Login, http.act("login", {"name": name, "password": password}))
