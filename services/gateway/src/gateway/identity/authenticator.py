"""Who asks, from the Authorization header: verified once, then remembered for a short while.

A change that must count at once (a revoked key, a disabled user, another role) calls `forget_user` when it commits.
What is being verified meanwhile is not remembered: it may have read the state before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from common.db.uow import Store
from common.kernel.errors import Unauthenticated
from common.web.identity import Principal, Signer
from gateway.domain.api_key import KeyState, digest_of, looks_like_key
from gateway.domain.user import User, UserState
from gateway.identity.tokens import LoginTokens, refused
from gateway.storage import key_by_digest, users

REMEMBERED = 10_000
LONGEST_CREDENTIAL = 4096
TOKEN_REUSED_SECONDS = 60.0

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Verified:
    """A verified credential: who it stands for, until when (monotonic seconds) it is believed without a look."""

    principal: Principal
    believed_until: float


@dataclass
class Authenticator:
    """The verdict on credentials, and the internal tokens that stand for them behind the gateway."""

    store: Store
    tokens: LoginTokens
    signer: Signer
    believed_seconds: float
    on_forgotten_user: list[Callable[[str], None]] = field(default_factory=list)
    _known: dict[bytes, Verified] = field(default_factory=dict)
    _internal: dict[Principal, tuple[float, bytes]] = field(default_factory=dict)
    _changes: int = 0

    def known(self, header: bytes) -> Verified | None:
        """What is remembered of an Authorization header; None where it must be verified. Fast."""
        verified = self._known.get(hashlib.sha256(header).digest())
        if verified is not None and verified.believed_until > self.store.clock.monotonic():
            return verified
        return None

    async def authenticate(self, header: bytes | None) -> Verified:
        """Who sends that Authorization header. Raises Unauthenticated (`no_token`, `bad_token`)."""
        if header is None:
            raise Unauthenticated("no_token", "This needs a login: send `Authorization: Bearer …`.")
        return self.known(header) or await self._verify(header)

    async def _verify(self, header: bytes) -> Verified:
        changes = self._changes
        scheme, _, credential = header.partition(b" ")
        if scheme.lower() != b"bearer" or not credential or len(credential) > LONGEST_CREDENTIAL:
            raise refused()
        text = credential.strip().decode("latin-1")
        verified = await (self._by_key(text) if looks_like_key(text) else self._by_login(text))
        if changes == self._changes:
            _remember(self._known, hashlib.sha256(header).digest(), verified)
        return verified

    async def _by_key(self, secret: str) -> Verified:
        async with self.store.reading() as connection:
            key = await key_by_digest(connection, digest_of(secret))
            user = await users.find(connection, key.owner) if key is not None else None
        if key is None or key.state != KeyState.ACTIVE or key.expired(self.store.clock.now()):
            raise refused()
        return Verified(_principal(user), self._until(key.expires_at))

    async def _by_login(self, token: str) -> Verified:
        login = self.tokens.read(token)
        async with self.store.reading() as connection:
            user = await users.find(connection, login.user)
        principal = _principal(user)
        if user is None or user.epoch != login.epoch:
            raise refused()
        return Verified(principal, self._until(login.expires_at))

    def _until(self, expires_at: datetime | None) -> float:
        clock = self.store.clock
        left = (expires_at - clock.now()).total_seconds() if expires_at is not None else self.believed_seconds
        return clock.monotonic() + min(left, self.believed_seconds)

    def internal(self, principal: Principal) -> bytes:
        """The Authorization header with which the services see that principal; signed about once a minute."""
        now = self.store.clock.monotonic()
        held = self._internal.get(principal)
        if held is not None and held[0] > now:
            return held[1]
        header = f"Bearer {self.signer.sign(principal)}".encode()
        _remember(self._internal, principal, (now + TOKEN_REUSED_SECONDS, header))
        return header

    def forget_user(self, user: str) -> None:
        """Something about that user changed: verify all of their credentials again."""
        self._changes += 1
        for digest in [d for d, verified in self._known.items() if verified.principal.id == user]:
            del self._known[digest]
        for call in self.on_forgotten_user:
            call(user)


def _principal(user: User | None) -> Principal:
    if user is None or user.state != UserState.ACTIVE:
        raise refused()
    return Principal(user.id, user.role, user.name, user.groups)


def _remember(kept: dict[_K, _V], key: _K, value: _V) -> None:
    """Keep it, and no more than is bounded: the oldest goes."""
    if len(kept) >= REMEMBERED:
        del kept[next(iter(kept))]
    kept[key] = value
