"""The log of an attempt, one stream of bytes: from the runtime while it runs, from the file store afterwards.

The same byte has the same offset in both, so a reader that follows never notices where it changes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from common.kernel.errors import NotFound
from common.service import Kit
from common.workloads import gangs, storage
from common.workloads.workload import Phase, Workload
from train_svc.collecting import log_key

_OVER = (Phase.RELEASING, Phase.ENDED)


@dataclass(frozen=True)
class Log:
    """The log of one attempt; of a gang, that of one `member`."""

    kit: Kit
    attempt: str
    member: int = 0

    async def workload(self) -> Workload:
        """The attempt as it is now. Raises NotFound (`member_not_found`)."""
        async with self.kit.store.reading() as connection:
            workload = await storage.get(connection, self.attempt)
        if self.member >= (nodes := workload.plan.resources.nodes):
            raise NotFound("member_not_found", f"The attempt has {nodes} member(s), counted from 0.")
        return workload

    def _key(self, workload: Workload) -> str:
        return log_key(workload.subject, workload.id, self.member)

    async def stored_bytes(self, workload: Workload) -> int | None:
        """Its whole length in bytes once it is kept; None while it may still grow."""
        if workload.phase not in _OVER:
            return None
        try:
            return (await self.kit.platform.files.stat(self._key(workload))).size
        except NotFound:
            return 0  # it never ran, or its log could not be kept

    def stored(self, workload: Workload, offset: int) -> AsyncIterator[bytes]:
        """The bytes of a log that is kept, from `offset` on."""
        return self.kit.platform.files.get(self._key(workload), offset)

    async def read(self, offset: int, most: int) -> tuple[bytes, bool]:
        """At most `most` bytes from `offset` on, and whether that is the end of a log that grows no more."""
        workload = await self.workload()
        if workload.phase == Phase.WAITING:
            return b"", False
        size = await self.stored_bytes(workload)
        if size is not None:
            content = (
                await self.kit.platform.files.read(self._key(workload), offset, min(offset + most, size))
                if offset < size
                else b""
            )
            return content, offset + len(content) >= size
        live = await self._live(workload, offset, most)
        return live, False

    async def _live(self, workload: Workload, offset: int, most: int) -> bytes:
        """What the runtime has. Nothing where it was removed meanwhile: then the next look finds it stored."""
        block = bytearray()
        handle = {"workload": gangs.member_id(workload.id, self.member)}
        async for chunk in self.kit.platform.runtime.logs(handle, offset):
            block += chunk
            if len(block) >= most:
                break
        return bytes(block[:most])


def whole_characters(block: bytes) -> int:
    """How many bytes of it end with a whole UTF-8 character: the rest waits for what follows (RFC 3629)."""
    for back in range(1, min(4, len(block)) + 1):
        byte = block[-back]
        if byte & 0xC0 == 0x80:
            continue  # in the middle of a character
        length = 1 if byte < 0xC0 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
        return len(block) - back if length > back else len(block)
    return len(block)
