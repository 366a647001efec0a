"""Text files: each must be readable as UTF-8 or GB18030, the two that Chinese and other texts come in."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from dataset_svc.formats.decoding import ENCODINGS
from dataset_svc.formats.port import ContentLimits, Sink, Summary
from dataset_svc.formats.ranges import Range

_BINARY = "This is no text file: it has NUL bytes. Save it as plain text in UTF-8, or leave it out."
_UNREADABLE = "This text is neither UTF-8 nor GB18030. Save it as UTF-8."
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Texts:
    """Checks text files; `length` is counted in characters."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._length = Range()
        self._encodings = dict.fromkeys(ENCODINGS, 0)

    def whole(self, path: str, data: bytes) -> None:
        """See Content."""
        if b"\0" in data:
            return self._binary(path, data)
        if data.isascii():
            return self._good(path, "utf-8", len(data))
        for encoding in ENCODINGS:
            try:
                return self._good(path, encoding, len(data.decode(encoding)))
            except UnicodeDecodeError:
                continue
        return self._sink.error("not_text", path, _UNREADABLE)

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See Content."""
        readers = {encoding: Reader(encoding) for encoding in ENCODINGS}
        binary: bytes | None = None
        for chunk in chunks:
            if binary is None and b"\0" in chunk:
                binary = chunk
            for reader in readers.values():
                reader.feed(chunk)
            yield chunk
        if binary is not None:
            return self._binary(path, binary)
        for encoding, reader in readers.items():
            if reader.ends_well():
                return self._good(path, encoding, reader.length)
        return self._sink.error("not_text", path, _UNREADABLE)

    def summary(self) -> Summary:
        """See Content: `texts` with lengths in characters and the number of files in each encoding."""
        return {"texts": {"length": self._length.as_json(), "encodings": self._encodings}}

    def _good(self, path: str, encoding: str, length: int) -> None:
        self._encodings[encoding] += 1
        self._length.add(length)
        if not length:
            self._sink.warning("empty_text", path, "This text is empty.")

    def _binary(self, path: str, data: bytes) -> None:
        utf16 = "This text is UTF-16, which is not taken. Save it as UTF-8."
        self._sink.error("binary_text", path, utf16 if data.startswith(_UTF16) else _BINARY)


class Reader:
    """Decodes a text piece by piece only to see whether it can be. `length` is the characters so far."""

    def __init__(self, encoding: str) -> None:
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder(encoding)()
        self.length = 0

    def feed(self, chunk: bytes, final: bool = False) -> None:
        """Take the next piece."""
        if self._decoder is None:
            return
        if chunk.isascii() and not self._decoder.getstate()[0]:  # no character is begun, and these are whole ones
            self.length += len(chunk)
            return
        try:
            self.length += len(self._decoder.decode(chunk, final))
        except UnicodeDecodeError:
            self._decoder = None

    def goes_well(self) -> bool:
        """Whether all so far could be decoded."""
        return self._decoder is not None

    def ends_well(self) -> bool:
        """Whether all of it could be decoded."""
        self.feed(b"", final=True)
        return self.goes_well()


def content(sink: Sink, limits: ContentLimits) -> Texts:
    """A checker of text files."""
    return Texts(sink)
