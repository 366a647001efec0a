"""Texts with entities and relations in JSON: a file for each (`.json`), or for many (a list, or JSON lines)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from dataset_svc.formats.decoding import Lines, NotText, decode
from dataset_svc.formats.known.json.elements import elements, is_list
from dataset_svc.formats.marked import Reader, Tally
from dataset_svc.formats.parsing import parsed
from dataset_svc.formats.passing import JSON_LINES, objects, passing
from dataset_svc.formats.port import Annotations, ContentLimits, Sink, Summary
from dataset_svc.formats.samples import Samples


class JsonTextChecker:
    """See Checker. `classes` counts the texts that have an entity of that class."""

    def __init__(self, purpose: str, sink: Sink, limits: ContentLimits) -> None:
        self._purpose, self._sink, self._limits = purpose, sink, limits
        self._reader, self._tally = Reader(sink), Tally(sink)
        self._encodings: Counter[str] = Counter()
        self._files = 0

    def folder(self, path: str) -> None:
        """See Checker. Folders say nothing."""

    def whole(self, path: str, data: bytes) -> None:
        """See Checker."""
        suffix = PurePosixPath(path).suffix.lower()
        if suffix in JSON_LINES:
            for _ in self._lines(path, iter((data,))):
                continue
        elif suffix == ".json":
            self._json(path, data)
        else:
            self._other(path)

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See Checker. A `.json` is held in memory whole, up to the limit; JSON lines have none."""
        suffix = PurePosixPath(path).suffix.lower()
        if suffix in JSON_LINES:
            yield from self._lines(path, chunks)
        elif suffix != ".json":
            self._other(path)
            yield from chunks
        elif size > self._limits.whole_bytes:
            limit = self._limits.whole_bytes
            reason = f"This file has {size:,} bytes; {limit:,} are allowed. Write JSON lines, which may be any size."
            self._sink.error("text_too_large", path, reason)
            yield from chunks
        else:
            data = b"".join(chunks)
            self._json(path, data)
            yield data

    def finish(self) -> Summary:
        """See Checker."""
        if not self._files:
            reason = 'The archive has no file with texts. Add .json or .jsonl with "text" and "entities".'
            self._sink.error("no_annotations", "", reason)
            return {"classes": {}}
        texts = self._tally.texts(dict(self._encodings))
        return {**self._tally.finish(self._purpose), "texts": texts}

    def annotations(self) -> Annotations:
        """See Checker: the first texts of each file."""
        return self._tally.annotations()

    def samples(self) -> Mapping[str, Samples]:
        """See Checker: those of JSON lines, and the elements of lists."""
        return self._tally.samples

    def _other(self, path: str) -> None:
        self._sink.warning("other_file", path, "This file is neither .json nor JSON lines, and is not read.")

    def _json(self, path: str, data: bytes) -> None:
        """A file with one text, or a list of texts."""
        self._files += 1
        try:
            text, encoding = decode(data)
            if is_list(text):
                self._listed(path, data, text, encoding)
            else:
                self._take(path, 1, parsed(text))
            self._encodings[encoding] += 1
        except NotText as fault:
            self._sink.error(fault.code, path, fault.reason, fault.line)

    def _listed(self, path: str, data: bytes, text: str, encoding: str) -> None:
        """The texts of a list. Raises NotText behind those that could be read."""
        for number, (entry, begins) in enumerate(elements(data, text, encoding), 1):
            self._tally.samples.setdefault(path, Samples(listed=True))
            self._take(path, number, entry, begins=begins, where=f"text {number}: ")

    def _lines(self, path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        self._files += 1
        lines = Lines()

        def rows(text: Iterator[str]) -> Iterator[tuple[int, Any]]:
            return objects(path, self._sink, text)

        def take(row: tuple[int, Any]) -> None:
            self._take(path, row[0], row[1], line=row[0], begins=row[0])

        yield from passing(chunks, path, self._sink, lines, rows, take)
        self._encodings[lines.encoding] += 1

    def _take(self, path: str, number: int, found: Any, *, line: int = 0, begins: int = 0, where: str = "") -> None:
        marked = self._reader.read(path, line, found, where)
        if marked is not None:
            self._tally.add(path, number, marked, begins=begins)
