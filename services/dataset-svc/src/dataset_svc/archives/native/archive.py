"""7z and rar as streams of entries."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from dataset_svc.archives.limits import Limits
from dataset_svc.archives.native import rar
from dataset_svc.archives.native.library import Damaged, Reading, load
from dataset_svc.archives.port import ArchiveRefused, Report, Tick
from dataset_svc.archives.stream import Entry, StreamArchive

_LOCKED = "it is encrypted; pack it without a password"


class _NativeArchive(StreamArchive):
    """An archive that libarchive reads. See StreamArchive."""

    format = ""
    sums: rar.Sums | None = None
    """What the content of files is held against, where libarchive doesn't do that."""

    @classmethod
    def prepare(cls) -> None:
        """Load what is needed, before strangers' data is read. Where it is missing, opening says so."""
        with contextlib.suppress(ArchiveRefused):
            load()

    def _entries(self) -> Iterator[Entry]:
        reading: Reading | None = None
        try:
            reading = Reading(self._descriptor, self.format)
            for number, handle in enumerate(reading.entries()):
                self._at(os.lseek(self._descriptor, 0, os.SEEK_CUR))
                yield self._entry(reading, handle, number)
        except Damaged as damaged:
            raise _refused(str(damaged), "") from damaged
        finally:
            if reading is not None:
                reading.close()

    def _entry(self, reading: Reading, handle: Any, number: int) -> Entry:
        name, size = reading.name(handle), reading.size(handle)
        wrong = ("encrypted", _LOCKED) if reading.is_encrypted(handle) else None
        if size is None:
            wrong = wrong or ("size_unknown", "it doesn't say its size; pack it anew")
        wanted = self.sums.of(number, name) if self.sums is not None else None
        chunks = partial(self._chunks, reading, name, wanted)
        return Entry(name, size or 0, reading.mode(handle), chunks, reading.is_link(handle), wrong)

    def _chunks(self, reading: Reading, name: bytes, wanted: int | None) -> Iterator[bytes]:
        """The content, whose CRC-32 is the `wanted` one. Raises ArchiveRefused (`damaged_member` where the next entry
        can still be read)."""
        crc = 0
        try:
            for chunk in reading.chunks():
                self._at(os.lseek(self._descriptor, 0, os.SEEK_CUR))
                crc = zlib.crc32(chunk, crc)
                yield chunk
            if wanted not in (None, crc):
                raise Damaged("another checksum", fatal=False)
        except Damaged as damaged:
            shown = name.decode("utf-8", "backslashreplace")
            refused = _refused(str(damaged), shown)
            if damaged.fatal or refused.finding.code != "damaged":
                raise refused from damaged
            reason = f"Its content is damaged ({damaged}). Pack and upload it again."
            raise ArchiveRefused("damaged_member", shown, reason) from damaged


class SevenZipArchive(_NativeArchive):
    """A 7z."""

    kind, format = "7z", "7zip"


class Rar5Archive(_NativeArchive):
    """A rar as WinRAR 5 and later make it; solid ones too."""

    kind, format = "rar5", "rar5"

    def __init__(self, descriptor: int, limits: Limits, report: Report, tick: Tick) -> None:
        self.sums = rar.check_5(descriptor, os.fstat(descriptor).st_size)
        super().__init__(descriptor, limits, report, tick)


class RarArchive(_NativeArchive):
    """A rar as WinRAR 3 and 4 made it; not a solid one."""

    kind, format = "rar", "rar"

    def __init__(self, descriptor: int, limits: Limits, report: Report, tick: Tick) -> None:
        self.sums = rar.check_4(descriptor, os.fstat(descriptor).st_size)
        super().__init__(descriptor, limits, report, tick)


def _refused(said: str, file: str) -> ArchiveRefused:
    """What libarchive says, as a refusal with a code."""
    told = said.lower()
    if "crypt" in told or "passphrase" in told:
        return ArchiveRefused("encrypted", file, "The archive is encrypted. Pack it without a password.")
    if "solid" in told or "unsupported" in told or "not supported" in told:
        return ArchiveRefused(
            "unsupported_method", file, f"It is packed in a way that can't be read ({said}). Pack it as zip."
        )
    if "truncated" in told or "eof" in told or "end of file" in told:
        return ArchiveRefused("truncated", file, "The archive is cut off: its end is missing. Upload it again.")
    return ArchiveRefused("damaged", file, f"The archive is damaged ({said}). Pack and upload it again.")
