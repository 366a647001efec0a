"""What another instance changed about users and keys: what is remembered here of their credentials is forgotten.

Every such change counts up a number of that user in the database, in its own transaction. Each instance looks at one
row again and again, and at the users' only when that has moved; no clock and no broker is needed.
"""

from __future__ import annotations

from common.db.uow import Store, UnitOfWork, count_of, counts
from gateway.identity.authenticator import Authenticator

LOOK_SECONDS = 1.0
"""How long another instance may still believe a credential that was revoked here."""

_ALL = "identity"


async def note_change(uow: UnitOfWork, authenticator: Authenticator, user: str) -> None:
    """Something about that user changes with this transaction: their credentials are verified again, everywhere."""
    await uow.count(f"{_ALL} {user}")
    await uow.count(_ALL)
    uow.after_commit(lambda: authenticator.forget_user(user))


class Watch:
    """One instance's eye on what the others change."""

    def __init__(self, store: Store, authenticator: Authenticator) -> None:
        self._store = store
        self._authenticator = authenticator
        self._seen: dict[str, int] = {}

    async def begin(self) -> None:
        """Before anything is remembered: what was changed until now is of no interest."""
        async with self._store.reading() as connection:
            self._seen = await counts(connection, _ALL)

    async def look(self, _lease: object = None) -> None:
        """Forget whatever changed since the last look."""
        async with self._store.reading() as connection:
            if await count_of(connection, _ALL) == self._seen.get(_ALL, 0):
                return
            seen = await counts(connection, _ALL)
        for name, value in seen.items():
            if value != self._seen.get(name, 0) and name != _ALL:
                self._authenticator.forget_user(name.removeprefix(f"{_ALL} "))
        self._seen = seen
