"""One file of texts with entities: tokens with their tags, or JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dataset_svc.formats.decoding import Lines
from dataset_svc.formats.known.single_text.one_file import OneFile
from dataset_svc.formats.known.single_text.tokens import Text, Tokens
from dataset_svc.formats.marked import Reader, Tally
from dataset_svc.formats.passing import JSON_LINES, objects, passing
from dataset_svc.formats.port import Annotations, ContentLimits, Sink, Summary
from dataset_svc.formats.samples import Samples

_TOKENS = (".conll", ".bio", ".bmes", ".txt", ".tsv")


class EntitiesChecker(OneFile):
    """See Checker. `classes` counts the texts that have an entity of that class."""

    suffixes = (*JSON_LINES, *_TOKENS)
    what = "JSON lines and has no tokens with tags (.conll, .bio, .bmes, .txt, .tsv)"

    def __init__(self, sink: Sink, limits: ContentLimits) -> None:
        super().__init__(sink)
        self._tally = Tally(sink)
        self._encodings: dict[str, int] = {}

    def rows(self, path: str, suffix: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See OneFile."""
        lines, reader = Lines(), Reader(self._sink)

        def read(row: tuple[int, Any]) -> None:
            marked = reader.read(path, row[0], row[1])
            if marked is not None:
                self._tally.add(path, row[0], marked, begins=row[0])

        def take(text: Text) -> None:
            self._tally.add(path, text.line, text.marked, begins=text.begins)

        if suffix in JSON_LINES:
            yield from passing(chunks, path, self._sink, lines, lambda text: objects(path, self._sink, text), read)
        else:
            yield from passing(chunks, path, self._sink, lines, Tokens(path, self._sink).texts, take)
        self._encodings = {lines.encoding: 1}

    def finish(self) -> Summary:
        """See Checker."""
        if not self.found():
            return {"classes": {}}
        return {**self._tally.finish("text/entity"), "texts": self._tally.texts(self._encodings)}

    def annotations(self) -> Annotations:
        """See Checker."""
        return self._tally.annotations()

    def samples(self) -> Mapping[str, Samples]:
        """See Checker."""
        return self._tally.samples
