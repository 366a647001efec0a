"""Login tokens: what a person gets for a password (RFC 7519, EdDSA by RFC 8037).

They have an audience of their own: no service takes one, and the gateway takes no internal token from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.kernel.clock import Clock
from common.kernel.errors import Unauthenticated
from common.kernel.ids import new_id

ISSUER = "gateway"
AUDIENCE = "modelyard-login"


@dataclass(frozen=True, slots=True)
class LoginToken:
    """What a token says: whose login, made in which epoch of theirs, until when."""

    user: str
    epoch: int
    expires_at: datetime


class LoginTokens:
    """Makes and reads login tokens."""

    def __init__(self, key: Ed25519PrivateKey, clock: Clock, hours: float) -> None:
        self._key = key
        self._public = key.public_key()
        self._clock = clock
        self._life = timedelta(hours=hours)

    def make(self, user: str, epoch: int) -> tuple[str, datetime]:
        """A token for that user, and when it expires."""
        now = self._clock.now()
        until = (now + self._life).replace(microsecond=0)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user,
            "epoch": epoch,
            "iat": int(now.timestamp()),
            "exp": int(until.timestamp()),
            "jti": new_id("login"),
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA"), until

    def read(self, token: str) -> LoginToken:
        """What it says. Raises Unauthenticated (`bad_token`) unless it is ours and still good."""
        required = ["exp", "iat", "sub", "iss", "aud", "epoch"]
        try:
            claims = jwt.decode(
                token,
                self._public,
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": required, "verify_exp": False, "verify_iat": False},  # by the platform's clock
            )
            expires = datetime.fromtimestamp(int(claims["exp"]), UTC)
            found = LoginToken(str(claims["sub"]), int(claims["epoch"]), expires)
        except (jwt.InvalidTokenError, ValueError, TypeError, OverflowError) as error:
            raise refused() from error
        if found.expires_at <= self._clock.now():
            raise refused()
        return found


def refused() -> Unauthenticated:
    """The same words for every bad credential."""
    return Unauthenticated("bad_token", "The token or API key is not valid, was revoked or has expired. Log in again.")
