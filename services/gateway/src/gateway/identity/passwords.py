"""Passwords: argon2id, in threads, few at a time (each takes its memory while it is hashed)."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 2


class Passwords:
    """Hashes and verifies. An unknown user costs as much time as a known one."""

    def __init__(self, *, memory: int, rounds: int) -> None:
        self._hasher = PasswordHasher(time_cost=rounds, memory_cost=memory, parallelism=1)
        self._places = asyncio.Semaphore(AT_ONCE)
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to keep, with its own salt and parameters in it."""
        async with self._places:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Whether it is the right one; with no hash (nobody of that name) the same work is done for nothing."""
        if hashed is None:
            hashed = self._nobodys = self._nobodys or await self.hash("nobody has this password")
            await self._compare(hashed, password)
            return False
        return await self._compare(hashed, password)

    async def _compare(self, hashed: str, password: str) -> bool:
        async with self._places:
            try:
                return await asyncio.to_thread(self._hasher.verify, hashed, password)
            except (VerificationError, InvalidHashError):
                return False
