"""Zips that are made as they are sent."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator
from typing import IO, cast

from common import manifests
from common.contracts.shared import ManifestRef
from common.ports.files import Files

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class _Sink:
    """A file that can't seek: what was written is taken away as soon as it is there."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        return

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


async def zipped(files: Files, ref: ManifestRef) -> AsyncIterator[bytes]:
    """All files of a manifest as an uncompressed zip, made on the way: nothing is kept on this machine's disk."""
    sink = _Sink()
    with zipfile.ZipFile(cast(IO[bytes], sink), "w", zipfile.ZIP_STORED) as archive:
        async for entry in manifests.read(files, ref):
            info = zipfile.ZipInfo(entry.path, _ZIP_EPOCH)
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=entry.size >= 1 << 31) as member:
                async for chunk in manifests.open_entry(files, ref, entry):
                    member.write(chunk)
                    yield sink.take()
            yield sink.take()
    yield sink.take()
