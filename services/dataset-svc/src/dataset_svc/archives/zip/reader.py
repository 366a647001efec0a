"""The second pass: the members' content, through a window of about a MiB."""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial

from dataset_svc.archives.inflating import crc32, decompressobj
from dataset_svc.archives.limits import Limits
from dataset_svc.archives.port import ArchiveRefused, Member, Report, Tick
from dataset_svc.archives.zip import methods
from dataset_svc.archives.zip.directory import Header, headers, locate
from dataset_svc.archives.zip.survey import READ, Survey, shown

_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_LOCAL = _LOCAL.size + 2 * 0xFFFF
_WINDOW = 1 << 20
_WHOLE = 512 << 10
_PIECE = 1 << 20
_ENCRYPTED = 0x0001


class ZipArchive:
    """A zip. Reads its directory at once; raises ArchiveRefused where that is enough to refuse it.

    Owns the descriptor once it is made. The bytes that really come out are counted against the declared size, which
    the survey has held against the limits, so no member makes more than it was allowed for.
    """

    kind = "zip"

    def __init__(self, descriptor: int, limits: Limits, report: Report, tick: Tick) -> None:
        self.length = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._report, self._tick = report, tick
        directory = locate(descriptor, self.length)
        self._end = directory.start
        self._headers = partial(headers, descriptor, directory)
        self._survey = Survey(self._headers, directory.start, limits, report)
        self._wrapper = len(self._survey.tree.wrapper)
        self.files, self.bytes = self._survey.files, self._survey.bytes
        self._window, self._window_at = b"", 0
        self._view = memoryview(self._window)

    @property
    def folders(self) -> Sequence[str]:
        """See Archive."""
        return self._survey.tree.folders

    def close(self) -> None:
        """See Archive."""
        os.close(self._descriptor)

    def members(self) -> Iterator[Member]:
        """See Archive. Raises ArchiveRefused (`overlap`, `damaged`)."""
        path_of, wrapper, last_end, starts = self._survey.path, self._wrapper, 0, self._survey.starts
        for mark, header in zip(self._survey.marks, self._headers(), strict=True):
            if mark != READ:
                continue
            start = header.offset
            if start < last_end and starts is None:
                raise _refused(header, "overlap", "Its data overlaps that of the member before, as in a zip bomb.")
            at = self._content_of(header)
            last_end = at + header.packed
            if last_end > (self._end if starts is None else self._following(start)):
                raise _refused(header, "overlap", "Its data overlaps that of another member, as in a zip bomb.")
            path = path_of(header)[wrapper:]
            if header.packed > _WHOLE or header.size > _WHOLE:
                yield Member(path, header.size, None, partial(self._stream, header, path, at))
                continue
            try:
                data = self._whole(header, path, at)
            except ArchiveRefused as broken:
                self._report(broken.finding)
            else:
                yield Member(path, header.size, data)

    def _following(self, start: int) -> int:
        """Where the member after the one at `start` begins, or the directory."""
        assert self._survey.starts is not None
        place = bisect_right(self._survey.starts, start)
        return self._survey.starts[place] if place < len(self._survey.starts) else self._end

    def _content_of(self, header: Header) -> int:
        """Where the member's content begins, after checking that its local header (§4.3.7) says the same as the
        directory. Two programs that believe different headers would otherwise see two different archives."""
        start, name = header.offset, header.name
        at = start - self._window_at
        if at < 0 or at + _LOCAL.size + len(name) > len(self._window):
            at = self._move(start, _LONGEST_LOCAL if header.packed > _WHOLE else _LONGEST_LOCAL + header.packed)
        if at + _LOCAL.size > len(self._window):
            raise _refused(header, "damaged", "Its header is cut off.")
        magic, _, flags, method, _, _, _, _, _, named, extended = _LOCAL.unpack_from(self._window, at)
        name_at = at + _LOCAL.size
        if magic != b"PK\x03\x04":
            raise _refused(header, "damaged", "There is no member where the directory says; the archive is damaged.")
        same = method == header.method and named == len(name) and self._window.startswith(name, name_at)
        if not same or flags & _ENCRYPTED:
            raise _refused(header, "damaged", "Its own header contradicts the archive's directory.")
        return start + _LOCAL.size + len(name) + int(extended)

    def _move(self, start: int, need: int) -> int:
        """Move the window to `start`; gives the position in it, 0. Reads far ahead only where reading goes forward."""
        ahead = 0 <= start - self._window_at <= len(self._window) + _LONGEST_LOCAL or not self._window_at
        length = max(need, _WINDOW) if ahead else need
        self._window = os.pread(self._descriptor, min(length, self._end - start), start)
        self._view, self._window_at = memoryview(self._window), start
        self._tick(start)
        return 0

    def _whole(self, header: Header, path: str, start: int) -> bytes:
        """A small member's content. Raises ArchiveRefused where it is not what was declared."""
        size, packed = header.size, header.packed
        at = start - self._window_at
        if at < 0 or at + packed > len(self._window):
            at = self._move(start, packed)
        raw = self._view[at : at + packed]
        try:
            if header.method == methods.DEFLATED:
                inflate = decompressobj(-15)
                data = inflate.decompress(raw, size + 1)
                complete = inflate.eof and not inflate.unused_data
            else:
                data, complete = b"".join(methods.unpack(header.method, iter((bytes(raw),)), size, _PIECE)), True
        except methods.Error as error:
            raise _damaged_member(path) from error
        if len(data) != size or not complete:
            raise ArchiveRefused("size_mismatch", path, _SIZE_MISMATCH)
        if crc32(data) != header.crc:
            raise ArchiveRefused("crc_mismatch", path, _CRC_MISMATCH)
        return data

    def _stream(self, header: Header, path: str, start: int) -> Iterator[bytes]:
        """A large member's content. Raises ArchiveRefused at the end where it is not what was declared."""
        crc = made = 0
        try:
            for data in methods.unpack(header.method, self._pieces(start, header.packed), header.size, _PIECE):
                crc, made = crc32(data, crc), made + len(data)
                if made > header.size:
                    break
                yield data
        except methods.Error as error:
            raise _damaged_member(path) from error
        if made != header.size:
            raise ArchiveRefused("size_mismatch", path, _SIZE_MISMATCH)
        if crc != header.crc:
            raise ArchiveRefused("crc_mismatch", path, _CRC_MISMATCH)

    def _pieces(self, start: int, length: int) -> Iterator[bytes]:
        """The packed bytes of a large member."""
        while length > 0:
            piece = os.pread(self._descriptor, min(_PIECE, length), start)
            if not piece:
                raise EOFError("the file ends")
            self._tick(start)
            yield piece
            start, length = start + len(piece), length - len(piece)


_SIZE_MISMATCH = "It doesn't unpack to the size that the archive declares. Pack and upload it again."
_CRC_MISMATCH = "Its checksum doesn't match its content. Pack and upload it again."


def _refused(header: Header, code: str, reason: str) -> ArchiveRefused:
    return ArchiveRefused(code, shown(header.name), reason)


def _damaged_member(path: str) -> ArchiveRefused:
    return ArchiveRefused("damaged_member", path, "Its compressed data is damaged. Pack and upload it again.")
