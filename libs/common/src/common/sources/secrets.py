"""Secrets at rest: encrypted with keys that are not in the database (Fernet: AES-128-CBC with HMAC-SHA-256).

The first key encrypts, all decrypt, so that a new key can be put in front and the old one taken away later.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.kernel.errors import Problem

_BYTES = 32


class SecretBox:
    """Turns secrets into text for a database, and back."""

    def __init__(self, keys: Iterable[str], own: Ed25519PrivateKey) -> None:
        """`keys` are configured Fernet keys. Behind them comes one that follows from the service's `own` key, so that
        nothing needs to be configured. Raises ValueError where a key is none."""
        self._box = MultiFernet([*(Fernet(key) for key in keys), Fernet(_derived(own))])

    def seal(self, secrets: Mapping[str, str]) -> str:
        """Encrypt."""
        return self._box.encrypt(json.dumps(dict(secrets)).encode()).decode()

    def open(self, sealed: str) -> dict[str, str]:
        """Decrypt. Raises Problem (`secret_unreadable`) where no key fits any more."""
        try:
            found: dict[str, str] = json.loads(self._box.decrypt(sealed.encode()))
        except InvalidToken as error:
            detail = "A stored secret can't be read with the present keys. Enter it again."
            raise Problem("secret_unreadable", detail) from error
        return found


def _derived(own: Ed25519PrivateKey) -> bytes:
    """A key for this purpose alone (RFC 5869)."""
    derive = HKDF(algorithm=SHA256(), length=_BYTES, salt=None, info=b"modelyard secrets at rest")
    return base64.urlsafe_b64encode(derive.derive(own.private_bytes_raw()))
