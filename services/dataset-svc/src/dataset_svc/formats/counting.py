"""What is marked in texts, counted, whatever format says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dataset_svc.formats.labels import Classes
from dataset_svc.formats.port import Sink, Summary
from dataset_svc.formats.ranges import Range
from dataset_svc.formats.together import Commonest, Together

Marks = Mapping[str, Sequence[dict[str, Any]]]
"""By kind (`entities`, `relations` …) what is marked in a text; each has a `class`, what can be related an `id`, and a
relation says `from` which to which (`to`)."""

_RELATED = ("entities", "events")
"""The kinds that relations lead from and to."""


class Counts:
    """Counts texts by what is marked in them: entities, relations, and of `more` kinds."""

    def __init__(self, sink: Sink, *more: str) -> None:
        self._sink = sink
        others = {kind: Classes(sink, f"classes of {kind}") for kind in ("relations", *more)}
        self._classes = {"entities": Classes(sink), **others}
        self._related: Commonest[tuple[str, str, str]] = Commonest()
        self._together, self._length = Together(), Range()
        self._unannotated = 0

    def add(self, file: str, text: str, marks: Marks) -> frozenset[str]:
        """One text, and what that file marks in it. Gives the classes of its entities."""
        for kind, counted in self._classes.items():
            counted.add([one["class"] for one in marks[kind]], file)
        labels = frozenset(entity["class"] for entity in marks["entities"])
        self._related.add(_related(marks))
        self._together.add(labels)
        self._unannotated += not labels
        self._length.add(len(text))
        return labels

    def look_for(self, purpose: str) -> None:
        """Tell where nothing of what the purpose needs is there."""
        needed = "relations" if purpose == "text/relation" else "entities"
        if not self._classes[needed]:
            reason = f"There are no {needed} in the whole archive; nothing could be learned."
            self._sink.error(f"no_{needed}", "", reason)

    def figures(self) -> Summary:
        """`classes` counts the texts that have an entity of that class, every kind how often each is there; `together`
        has the texts in which two classes of entities are, `related` what relates which."""
        return {
            "classes": self._classes["entities"].files(),
            **{kind: counted.times() for kind, counted in self._classes.items()},
            "together": self._together.as_json(),
            "related": [
                {"from": start, "class": name, "to": end, "count": count}
                for (start, name, end), count in self._related.shown()
            ],
            "unannotated": self._unannotated,
        }

    def texts(self, encodings: Mapping[str, int]) -> Summary:
        """Lengths in characters, and in what encoding how many files are."""
        return {"length": self._length.as_json(), "encodings": dict(encodings)}


def _related(marks: Marks) -> Iterator[tuple[str, str, str]]:
    """Of each relation the classes of its two ends, around its own."""
    ends = {one["id"]: one["class"] for kind in _RELATED for one in marks.get(kind, ())}
    for relation in marks["relations"]:
        if relation["from"] in ends and relation["to"] in ends:
            yield ends[relation["from"]], relation["class"], ends[relation["to"]]
