"""Which of the two encodings a text is in, and its lines one after the other."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

ENCODINGS = ("utf-8", "gb18030")
"""UTF-8, and what Chinese Windows writes (GB18030 holds GBK and GB2312)."""

LONGEST_LINE = 8 << 20
"""Bytes of a line; more is no line of text."""


class NotText(Exception):
    """The bytes are no text; `code`, `reason` and the line (from 1) say why."""

    def __init__(self, code: str, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.code, self.reason, self.line = code, reason, line


def decode(data: bytes) -> tuple[str, str]:
    """A whole text and its encoding, without a mark of byte order. Raises NotText (`binary_text`, `not_text`)."""
    if b"\0" in data:
        raise NotText("binary_text", "This is no text file in UTF-8: it has NUL bytes. Save it as UTF-8.")
    for encoding in ENCODINGS:
        try:
            return data.decode(encoding).removeprefix("\ufeff"), encoding
        except UnicodeDecodeError:
            continue
    line = data[: _where(data)].count(b"\n") + 1
    raise NotText("not_text", "This line is neither UTF-8 nor GB18030. Save the file as UTF-8.", line)


def _where(data: bytes) -> int:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return 0


class Lines:
    """Lines of a text that comes in pieces, with their ends. The first piece that is not ASCII decides its encoding;
    `line` is the last one so far (from 1)."""

    def __init__(self) -> None:
        self.encoding = ENCODINGS[0]
        self._decided = False
        self.line = 0

    def of(self, chunks: Iterator[bytes]) -> Iterator[str]:
        """The lines. Raises NotText."""
        rest: list[bytes] = []
        length = 0
        for chunk in chunks:
            first, *others = chunk.split(b"\n")
            rest.append(first)
            length += len(first)
            for piece in others:
                yield self._decoded(b"".join(rest) + b"\n", chunk)
                rest, length = [piece], len(piece)
            if length > LONGEST_LINE:
                raise NotText("line_too_long", f"This line has more than {LONGEST_LINE:,} bytes.", self.line + 1)
        if last := b"".join(rest):
            yield self._decoded(last, last)

    def _decoded(self, line: bytes, around: bytes) -> str:
        self.line += 1
        if b"\0" in line:
            reason = "This line has NUL bytes, so the file is no text in UTF-8. Save it as UTF-8."
            raise NotText("binary_text", reason, self.line)
        if not self._decided and not line.isascii():
            self._decided = True
            self.encoding = _guess(line, around)
        try:
            text = line.decode(self.encoding)
        except UnicodeDecodeError:
            reason = f"This line is not {self.encoding.upper()}, as the lines before it are. Save the file as UTF-8."
            raise NotText("not_text", reason, self.line) from None
        return text.removeprefix("\ufeff") if self.line == 1 else text


def _guess(line: bytes, around: bytes) -> str:
    """The encoding by one line, and where that leaves a doubt by what came with it. Bytes that make a Chinese character
    in UTF-8 hardly ever make sense in GB18030; two bytes may do in both."""
    try:
        if any(character > "\u07ff" for character in line.decode("utf-8")):
            return "utf-8"
        codecs.getincrementaldecoder("utf-8")().decode(around.partition(b"\n")[2] or line)
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8"
