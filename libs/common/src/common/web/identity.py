"""Who asks: short-lived signed tokens between the gateway and the services.

The gateway signs for users, each service for itself, with Ed25519 keys of their own; public keys are published in a
folder that all can read (RFC 7519, RFC 8037). A verified token is remembered until it expires.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from fastapi import Depends, Request

from common.kernel.errors import Unauthenticated

AUDIENCE = "modelyard"
TOKEN_SECONDS = 300
LEEWAY_SECONDS = 60
"""How far the clocks of two services' databases may be apart."""

_REMEMBERED = 4096

Role = Literal["admin", "user", "service"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts: a person, or a service for itself (role `service`)."""

    id: str
    role: Role = "user"
    name: str = ""
    groups: tuple[str, ...] = ()

    @property
    def is_admin(self) -> bool:
        """Administrators and the platform's own services may see and change everything."""
        return self.role != "user"


class TokenTime:
    """The hour by which tokens are signed and judged.

    It follows a clock that the instances of a service share (`set`: the database's, as leases do), carried on by one
    that never goes back: who sets this machine's clock, even by hours, ends no token and makes none too early.
    """

    def __init__(self) -> None:
        self._ahead = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return time.monotonic() + self._ahead

    def set(self, seconds: float) -> None:
        """It is now that many seconds since 1970."""
        self._ahead = seconds - time.monotonic()


class Signer:
    """Signs tokens with the private key of one issuer (the gateway or a service)."""

    def __init__(self, issuer: str, key: Ed25519PrivateKey) -> None:
        self.issuer = issuer
        self._key = key
        self._own, self._own_from = "", -math.inf
        self.time = TokenTime()

    @property
    def key(self) -> Ed25519PrivateKey:
        """The private key, for whoever signs another kind of token (another audience) as the same issuer."""
        return self._key

    def sign(self, principal: Principal, seconds: int = TOKEN_SECONDS) -> str:
        """A token that says who acts, good for that many seconds."""
        now = int(self.time.now())
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + seconds,
            "sub": principal.id,
            "role": principal.role,
            "name": principal.name,
            "groups": list(principal.groups),
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self.issuer})

    def for_itself(self) -> str:
        """A token with which a service acts for itself; the same one until half its time is over."""
        now = self.time.now()
        if not 0 <= now - self._own_from < TOKEN_SECONDS / 2:
            self._own = self.sign(Principal(self.issuer, "service", self.issuer))
            self._own_from = now
        return self._own


class KeyRing:
    """The published keys, and the verdict on tokens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Ed25519PublicKey] = {}
        self._verified: dict[str, tuple[float, Principal]] = {}
        self.time = TokenTime()

    def verify(self, token: str) -> Principal:
        """Who acts. Raises Unauthenticated (`bad_token`) for anything but a good token of a published issuer.

        Only the gateway may speak for users: a service's token is for that service itself.
        """
        remembered = self._verified.get(token)
        if remembered is not None and remembered[0] > self.time.now():
            return remembered[1]
        try:
            issuer = str(jwt.get_unverified_header(token).get("kid", ""))
            claims = jwt.decode(
                token,
                self._key(issuer),
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=issuer,
                options={"require": ["exp", "iat", "sub", "iss", "aud"], "verify_exp": False, "verify_iat": False},
            )
            until = self._until(claims)
        except (jwt.InvalidTokenError, KeyError, OSError, TypeError, ValueError) as error:
            raise Unauthenticated("bad_token", "The token is not valid or has expired. Log in again.") from error
        principal = Principal(
            claims["sub"], claims.get("role", "user"), claims.get("name", ""), tuple(claims.get("groups", ()))
        )
        if issuer != "gateway" and (principal.role != "service" or principal.id != issuer):
            raise Unauthenticated("bad_token", "A service can only speak for itself.")
        self._remember(token, until, principal)
        return principal

    def _until(self, claims: Mapping[str, Any]) -> float:
        """Until when a token is good, by our time. Raises ValueError where it is good no more, or not yet."""
        issued, until, now = float(claims["iat"]), float(claims["exp"]) + LEEWAY_SECONDS, self.time.now()
        if not issued - LEEWAY_SECONDS <= now < until:
            raise ValueError("expired, or not valid yet")
        return until

    def _key(self, issuer: str) -> Ed25519PublicKey:
        if issuer not in self._known:
            if not issuer.replace("-", "").isalnum():
                raise KeyError(issuer)
            key = load_pem_public_key((self._folder / f"{issuer}.pub").read_bytes())
            assert isinstance(key, Ed25519PublicKey)
            self._known[issuer] = key
        return self._known[issuer]

    def _remember(self, token: str, until: float, principal: Principal) -> None:
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[token] = (until, principal)


def open_signer(issuer: str, private: Path, public: Path) -> Signer:
    """The signer of an issuer: its key is made at first use (mode 0600 below `private`) and published in `public`."""
    private.mkdir(parents=True, exist_ok=True, mode=0o700)
    public.mkdir(parents=True, exist_ok=True)
    path = private / f"{issuer}.pem"
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write_whole(path, pem, only_first=True)
    key = load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    published = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if not (public / f"{issuer}.pub").exists() or (public / f"{issuer}.pub").read_bytes() != published:
        _write_whole(public / f"{issuer}.pub", published, mode=0o644)
    return Signer(issuer, key)


def _write_whole(path: Path, content: bytes, mode: int = 0o600, *, only_first: bool = False) -> None:
    """Write so that a kill leaves either nothing or the whole file. `only_first`: of several that write at once one
    is first, and the others leave what it wrote."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if not only_first:
        temporary.replace(path)
        return
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()


def bearer(request: Request) -> str:
    """The token of a request. Raises Unauthenticated (`no_token`)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("no_token", "This needs a login: send `Authorization: Bearer …`.")
    return token


def caller(request: Request) -> Principal:
    """Who asks. The app carries its key ring in `app.state.keyring`."""
    ring: KeyRing = request.app.state.keyring
    return ring.verify(bearer(request))


async def asking(request: Request) -> Principal:
    """`caller` as a dependency: async, since FastAPI sends every plain function through a thread."""
    return caller(request)


Caller = Annotated[Principal, Depends(asking)]
