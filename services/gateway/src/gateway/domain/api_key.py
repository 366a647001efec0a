"""API keys: for programs, long-lived, revocable one by one.

256 random bits behind a prefix that secret scanners know; only the SHA-256 is kept, so a key is shown once.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from common.kernel.states import Transitions

PREFIX = "yk_"
LENGTH = len(PREFIX) + 43
SHOWN = 10
"""How many characters of a key stay visible, to tell one's keys apart."""


class KeyState(StrEnum):
    """Whether a key opens anything."""

    ACTIVE = "active"
    REVOKED = "revoked"


KEY = Transitions("API key", KeyState.ACTIVE, {(KeyState.ACTIVE, "revoke"): KeyState.REVOKED}, final=[KeyState.REVOKED])


@dataclass(frozen=True)
class ApiKey:
    """A key of a user (`owner`), with all the rights that the user has. `digest` is the SHA-256 of the secret."""

    id: str
    name: str
    owner: str
    prefix: str
    digest: str
    created_at: datetime
    updated_at: datetime
    state: KeyState = KeyState.ACTIVE
    expires_at: datetime | None = None
    version: int = 1

    def revoke(self) -> ApiKey:
        """Open nothing any more. Raises Conflict (`illegal_state`) where it is revoked already."""
        return replace(self, state=KEY.move(self.state, "revoke"))

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now


def new_secret() -> str:
    """A fresh key: the prefix and 256 random bits."""
    return PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def looks_like_key(text: str) -> bool:
    """Whether that credential is meant as an API key."""
    return text.startswith(PREFIX)


def digest_of(secret: str) -> str:
    """What is kept of a key. A plain hash is enough: 256 random bits can't be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()
