"""Rows of a text that are looked at while its bytes pass on: memory stays flat however long it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from dataset_svc.formats.decoding import Lines, NotText
from dataset_svc.formats.parsing import parsed
from dataset_svc.formats.port import Sink

JSON_LINES = (".jsonl", ".ndjson")
_LONGEST_WAIT = 32 << 20
"""Bytes that may go by without a row that can be taken."""
T = TypeVar("T")


def passing(
    chunks: Iterator[bytes],
    path: str,
    sink: Sink,
    lines: Lines,
    rows: Callable[[Iterator[str]], Iterator[T]],
    take: Callable[[T], None],
) -> Generator[bytes, None, bool]:
    """Pass the chunks on as far as their rows have been taken. After a fatal fault (NotText), which is told, all of
    them pass; returns whether there was none."""
    right = True
    passed: deque[bytes] = deque()
    waiting = 0

    def seen() -> Iterator[bytes]:
        nonlocal waiting
        for chunk in chunks:
            waiting += len(chunk)
            passed.append(chunk)
            if waiting > _LONGEST_WAIT + len(chunk):
                raise NotText("no_rows", _NO_ROWS, lines.line)
            yield chunk

    try:
        for row in rows(lines.of(seen())):
            take(row)
            waiting = 0
            while passed:
                yield passed.popleft()
    except NotText as fault:
        right = False
        sink.error(fault.code, path, fault.reason, fault.line)
    yield from passed
    yield from chunks
    return right


_NO_ROWS = (
    f"In the {_LONGEST_WAIT >> 20} MiB before this line there is no row that can be read. Look whether the file is "
    "what its name says."
)


def objects(path: str, sink: Sink, lines: Iterator[str]) -> Iterator[tuple[int, Any]]:
    """Line (from 1) and value of each line of JSON lines that is not empty; what is no JSON is told."""
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            found = parsed(text.rstrip("\r\n"))  # with its end, what is missing there would be missing on a next line
        except NotText as fault:
            sink.error(fault.code, path, fault.reason, line)
        else:
            yield line, found
