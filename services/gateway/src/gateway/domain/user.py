"""A user: who may log in, with which role.

`epoch` counts up with everything that must end earlier logins (a new password, disabling): a login token names the
epoch it was made in, and is refused once the user has a later one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal

from common.kernel.errors import Fault, Invalid
from common.kernel.states import Transitions

LONGEST_NAME = 64
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
MOST_GROUPS = 32

UserRole = Literal["admin", "user"]


class UserState(StrEnum):
    """Whether somebody may log in."""

    ACTIVE = "active"
    DISABLED = "disabled"
    DELETED = "deleted"


USER = Transitions(
    "user",
    UserState.ACTIVE,
    {
        (UserState.ACTIVE, "disable"): UserState.DISABLED,
        (UserState.DISABLED, "enable"): UserState.ACTIVE,
        (UserState.ACTIVE, "delete"): UserState.DELETED,
        (UserState.DISABLED, "delete"): UserState.DELETED,
    },
    final=[UserState.DELETED],
)


@dataclass(frozen=True)
class User:
    """A person or a program with a login. `login` is the name as it is compared; `password` an argon2 hash; `groups`
    say whose queues and quotas their work counts in."""

    id: str
    name: str
    login: str
    role: UserRole
    state: UserState
    password: str
    created_at: datetime
    updated_at: datetime
    epoch: int = 1
    version: int = 1
    groups: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        """Everybody owns themselves."""
        return self.id

    @property
    def is_active_admin(self) -> bool:
        """Whether this one can administrate now."""
        return self.role == "admin" and self.state == UserState.ACTIVE

    def disable(self) -> User:
        """No more logins, and the present ones end. Raises Conflict (`illegal_state`)."""
        return replace(self, state=USER.move(self.state, "disable"), epoch=self.epoch + 1)

    def enable(self) -> User:
        """May log in again. Raises Conflict (`illegal_state`)."""
        return replace(self, state=USER.move(self.state, "enable"))

    def delete(self) -> User:
        """Gone for good: a row that only says whose things were theirs. The name is free, since no name has a space.

        Raises Conflict (`illegal_state`).
        """
        state = USER.move(self.state, "delete")
        return replace(self, state=state, login=f"deleted {self.id}", password="", epoch=self.epoch + 1)

    def with_password(self, hashed: str) -> User:
        """A new password; earlier logins end."""
        return replace(self, password=hashed, epoch=self.epoch + 1)

    def with_role(self, role: UserRole) -> User:
        """Another role."""
        return replace(self, role=role)

    def with_groups(self, groups: Sequence[str]) -> User:
        """In these groups and no others, in that order: where several have a queue, the first counts.

        Raises Invalid (`invalid_groups`) with what is wrong.
        """
        if faults := list(_group_faults(groups)):
            raise Invalid("invalid_groups", faults[0].reason, faults=faults)
        return replace(self, groups=tuple(dict.fromkeys(groups)))


def login_of(name: str) -> str:
    """The form in which names are compared: compatibility-normalised and case-folded (RFC 8265 §3.3)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_new(name: str, password: str) -> None:
    """Raises Invalid (`invalid_user`) with all faults of a new user's name and password."""
    faults = [*_name_faults(name), *_password_faults(name, password)]
    if faults:
        raise Invalid("invalid_user", "The user can't be made like this.", faults=faults)


def check_password(name: str, password: str) -> None:
    """Raises Invalid (`weak_password`) with what is wrong with a new password."""
    if faults := _password_faults(name, password):
        raise Invalid("weak_password", faults[0].reason, faults=faults)


def _group_faults(groups: Sequence[str]) -> Iterator[Fault]:
    if len(groups) > MOST_GROUPS:
        yield Fault("groups", f"Nobody is in more than {MOST_GROUPS} groups.")
    for number, group in enumerate(groups):
        if _name_faults(group):
            reason = f"{group[:80]!r} is no group: letters, digits and . _ - @ only, at most {LONGEST_NAME}."
            yield Fault(f"groups.{number}", reason)


def _name_faults(name: str) -> list[Fault]:
    if not 1 <= len(name) <= LONGEST_NAME:
        return [Fault("name", f"A user's name has 1 to {LONGEST_NAME} characters.")]
    if not all(char.isalnum() or char in "._-@" for char in name) or not name[0].isalnum():
        return [Fault("name", "A user's name has letters, digits and . _ - @ only, and begins with one of the first.")]
    return []


def _password_faults(name: str, password: str) -> list[Fault]:
    """Length counts, not kinds of characters (NIST SP 800-63B §5.1.1.2)."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return [Fault("password", f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")]
    if login_of(password) == login_of(name):
        return [Fault("password", "The password must not be the name.")]
    return []
