"""All documents of an archive: each text is held until its annotations come, or the other way round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from dataset_svc.formats.counting import Counts
from dataset_svc.formats.decoding import NotText, decode
from dataset_svc.formats.known.brat_ann.standoff import Standoff
from dataset_svc.formats.packing import packed
from dataset_svc.formats.port import Annotations, ContentLimits, Sink, Summary
from dataset_svc.formats.samples import Samples

_TEXT, _ANNOTATIONS = ".txt", ".ann"
_OTHER_HALF = {_TEXT: _ANNOTATIONS, _ANNOTATIONS: _TEXT}
_SETTINGS = ".conf"


class BratChecker:
    """See Checker. `classes` counts the documents that have an entity of that type."""

    def __init__(self, purpose: str, sink: Sink, limits: ContentLimits) -> None:
        self._purpose, self._sink, self._limits = purpose, sink, limits
        self._waiting: dict[tuple[str, str], tuple[str, bytes]] = {}
        self._waiting_bytes = 0
        self._refused: set[str] = set()
        self._documents: dict[str, tuple[bytes, frozenset[str]]] = {}
        self._counts = Counts(sink, "events")
        self._encodings: Counter[str] = Counter()

    def folder(self, path: str) -> None:
        """See Checker. Folders say nothing."""

    def whole(self, path: str, data: bytes) -> None:
        """See Checker."""
        suffix = _suffix(path)
        if suffix not in _OTHER_HALF:
            return self._other(path)
        document = path[: -len(suffix)]
        if document in self._refused:
            return None
        found = self._waiting.pop((document, _OTHER_HALF[suffix]), None)
        if found is None:
            return self._wait((document, suffix), path, data)
        self._waiting_bytes -= len(found[1])
        halves = {suffix: (path, data), _OTHER_HALF[suffix]: found}
        return self._check(halves[_TEXT], halves[_ANNOTATIONS])

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See Checker. A document is held in memory whole, up to the limit."""
        if _suffix(path) not in _OTHER_HALF:
            self._other(path)
            yield from chunks
            return
        if size > self._limits.whole_bytes:
            limit = self._limits.whole_bytes
            self._refuse(path, "text_too_large", f"This file has {size:,} bytes; {limit:,} are allowed. Split it.")
            yield from chunks
            return
        data = b"".join(chunks)
        self.whole(path, data)
        yield data

    def finish(self) -> Summary:
        """See Checker. Where documents were refused nobody knows whether what is needed is in them."""
        for (_, suffix), (path, _) in self._waiting.items():
            if suffix == _TEXT:
                reason = "This text has no .ann beside it. Add one; it is empty where nothing is annotated."
                self._sink.error("missing_annotation", path, reason)
            else:
                self._sink.error("missing_text", path, "These annotations have no .txt beside them. Add the text.")
        if not self._refused:
            self._counts.look_for(self._purpose)
        return {**self._counts.figures(), "texts": self._counts.texts(self._encodings)}

    def annotations(self) -> Annotations:
        """See Checker: entities, relations and events of each text."""
        for path, (found, labels) in self._documents.items():
            yield path, found, labels

    def samples(self) -> Mapping[str, Samples]:
        """See Checker: each file is one."""
        return {}

    def _other(self, path: str) -> None:
        """A file that is neither half of a document."""
        if _suffix(path) != _SETTINGS:
            self._sink.warning("other_file", path, "This file is neither .txt nor .ann, and is not read.")

    def _wait(self, half: tuple[str, str], path: str, data: bytes) -> None:
        """Keep one half until the other comes. It may be there already under a name in other letters."""
        if half in self._waiting:
            reason = f"{self._waiting[half][0]!r} has the same name but for small and capital letters. Rename one."
            return self._sink.error("duplicate_document", path, reason)
        if self._waiting_bytes + len(data) > self._limits.waiting_bytes:
            reason = "Too much lies between texts and their annotations. Pack each .ann beside its .txt."
            return self._refuse(path, "too_scattered", reason)
        self._waiting_bytes += len(data)
        self._waiting[half] = (path, data)
        return None

    def _refuse(self, path: str, code: str, reason: str) -> None:
        """Tell of a half that is not kept. The other one lacks it only for that, so nothing more is told of it."""
        document = path[: -len(_suffix(path))]
        self._sink.error(code, path, reason)
        self._refused.add(document)
        for suffix in _OTHER_HALF:
            _, held = self._waiting.pop((document, suffix), ("", b""))
            self._waiting_bytes -= len(held)

    def _check(self, text: tuple[str, bytes], annotations: tuple[str, bytes]) -> None:
        """Both halves of a document are there, each with its path."""
        decoded, lines = self._decoded(*text), self._decoded(*annotations)
        if decoded is None or lines is None:
            return
        self._encodings[decoded[1]] += 1

        def tell(severity: str, code: str, reason: str, line: int) -> None:
            report = self._sink.error if severity == "error" else self._sink.warning
            report(code, annotations[0], reason, line)

        found = Standoff(decoded[0], tell).parse(lines[0]).as_json()
        labels = self._counts.add(annotations[0], decoded[0], found)
        self._documents[text[0]] = packed(found), labels

    def _decoded(self, path: str, data: bytes) -> tuple[str, str] | None:
        try:
            return decode(data)
        except NotText as fault:
            self._sink.error(fault.code, path, fault.reason, fault.line)
            return None


def _suffix(path: str) -> str:
    """What the name ends with; its case says nothing."""
    return PurePosixPath(path).suffix.lower()
