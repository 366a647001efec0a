"""The entries of a tar: headers, what precedes them, and content, in one reading that only goes forward."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from dataset_svc.archives.port import ArchiveRefused
from dataset_svc.archives.stream import Entry, StreamArchive
from dataset_svc.archives.tar import sources
from dataset_svc.archives.tar.headers import (
    BLOCK,
    BODILESS,
    LARGEST_RECORD,
    RECORDS,
    Header,
    damaged,
    parse,
    pax_records,
)
from dataset_svc.archives.tar.sources import Source

_PIECE = 1 << 20
_VOLUME_LABEL = b"V"


class TarArchive(StreamArchive):
    """A tar that is packed by nothing. See StreamArchive."""

    kind = "tar"

    def _entries(self) -> Iterator[Entry]:
        yield from _Reading(Source(self._pieces())).entries()

    def _pieces(self) -> Iterator[bytes]:
        """The bytes of the tar."""
        return sources.plain(self._descriptor, self._at)

    def _bounded(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Unpacked pieces, as long as they are not those of a bomb."""
        made = 0
        for piece in pieces:
            made += len(piece)
            self._check_ratio(made)
            yield piece


class GzipTarArchive(TarArchive):
    """A tar.gz."""

    kind = "tar.gz"

    def _pieces(self) -> Iterator[bytes]:
        return self._bounded(sources.gunzipped(self._descriptor, self._at))


class ZstdTarArchive(TarArchive):
    """A tar.zst."""

    kind = "tar.zst"

    @classmethod
    def prepare(cls) -> None:
        """Load what is needed, before strangers' data is read."""
        import_module("zstandard")

    def _pieces(self) -> Iterator[bytes]:
        return self._bounded(sources.unzstd(self._descriptor, self._at))


class _Content:
    """The content of one entry and its padding, taken or passed over."""

    def __init__(self, source: Source, size: int) -> None:
        self._source, self._left, self._padding = source, size, -size % BLOCK

    def chunks(self) -> Iterator[bytes]:
        while self._left:
            piece = bytes(self._source.upto(min(self._left, _PIECE)))
            if not piece:
                raise ArchiveRefused("truncated", "", "The archive is cut off. Upload it again.")
            self._left -= len(piece)
            yield piece

    def pass_over(self) -> None:
        self._source.skip(self._left)
        if self._padding:
            self._source.skip(self._padding)


class _Reading:
    """One reading of a tar. `_said` is what was said of the next entry, `_always` of all that follow."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._said: dict[bytes, bytes] = {}
        self._always: dict[bytes, bytes] = {}

    def entries(self) -> Iterator[Entry]:
        first = True
        while block := self._source.exactly(BLOCK):
            if not block.strip(b"\0"):
                break
            if first and block[257:262] != b"ustar" and not _plausible(block):
                raise ArchiveRefused("unknown_archive", "", "What is packed in it is no tar. Pack a folder.")
            first = False
            header = parse(block)
            if header.kind in RECORDS:
                self._take(header)
            elif header.kind == _VOLUME_LABEL:
                self._source.skip(header.size + -header.size % BLOCK)
            else:
                yield from self._entry(header)
        else:
            raise ArchiveRefused("truncated", "", "The archive is cut off: its end is missing. Upload it again.")
        while self._source.upto(_PIECE):
            continue  # so that checksums behind the end are verified

    def _entry(self, header: Header) -> Iterator[Entry]:
        said, self._said = {**self._always, **self._said}, {}
        if b"path" in said:
            header = header._replace(name=said[b"path"])
        if b"size" in said and header.kind not in BODILESS:
            if not said[b"size"].isdigit():
                raise damaged("an extended header is malformed")
            header = header._replace(size=int(said[b"size"]))
        content = _Content(self._source, header.size)
        sparse = any(keyword.startswith(b"GNU.sparse") for keyword in said)
        wrong = ("sparse", "it is a sparse file; pack it without --sparse") if sparse else header.wrong
        yield Entry(header.name, header.size, header.mode, content.chunks, header.kind == b"1", wrong)
        content.pass_over()

    def _take(self, header: Header) -> None:
        """Read a record that says something of the next entry, or of all."""
        if header.size > LARGEST_RECORD:
            raise damaged(f"an extended header has {header.size:,} bytes")
        content = _Content(self._source, header.size)
        data = b"".join(content.chunks())
        content.pass_over()
        match RECORDS[header.kind]:
            case "pax":
                self._said |= pax_records(data)
            case "global":
                self._always |= pax_records(data)
            case "name":
                self._said[b"path"] = data.partition(b"\0")[0]


def _plausible(block: bytes) -> bool:
    """Whether a block without `ustar` is a header of before 1988: its checksum says so."""
    try:
        parse(block)
    except ArchiveRefused:
        return False
    return True
