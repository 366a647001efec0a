"""Texts in which entities are marked, and perhaps relations between them, as JSON says it (doccano's two layouts, and
plain ones), and what is counted of them, whichever file they are in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from dataset_svc.formats.counting import Counts
from dataset_svc.formats.labels import MOST_CLASSES, TEXT_NAMES, is_text, label_fault
from dataset_svc.formats.packing import packed
from dataset_svc.formats.port import Annotations, Sink, Summary
from dataset_svc.formats.samples import Samples

_ENTITIES = ("entities", "label", "labels", "spans")
_START, _END = ("start", "start_offset"), ("end", "end_offset")
_CLASS = ("label", "class", "type")
_FROM, _TO = ("from", "from_id"), ("to", "to_id")
SHOWN_CHARACTERS = 2_000
"""Of a text, on a page of samples."""
_ENTITY_CHARACTERS = 200
"""Characters of its text that an entity repeats: of a few bytes in a file it could make thousands."""
_SHORT = 60
_MOST_MARKED = 100_000
"""Entities of one text, and relations."""
_SHOWN_MARKED = 1_000


_IDS = "Give each its own; one that says none has its place in the list (from 0)."


@dataclass
class Marked:
    """A text; its entities with class and offsets (in characters, the end exclusive), and relations between them."""

    text: str
    entities: list[dict[str, Any]] = field(default_factory=list)
    relations: list[dict[str, Any]] = field(default_factory=list)


def shown(line: int, marked: Marked) -> dict[str, Any]:
    """A text as it is shown: what is marked behind the beginning of a long one is left out, and relations of that."""
    inside = [entity for entity in marked.entities if entity["spans"][-1][1] <= SHOWN_CHARACTERS][:_SHOWN_MARKED]
    left = {entity["id"] for entity in inside}
    relations = [one for one in marked.relations if {one["from"], one["to"]} <= left][:_SHOWN_MARKED]
    row = {"line": line, "text": marked.text[:SHOWN_CHARACTERS], "entities": inside}
    return row | ({"relations": relations} if relations else {})


class Reader:
    """Reads one text from what JSON says. Offsets are held against the text, relations against the entities."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._path, self._line, self._where = "", 0, ""

    def read(self, path: str, line: int, found: Any, where: str = "") -> Marked | None:
        """The text, or None with a fault; `where` is what a reason begins with."""
        self._path, self._line, self._where = path, line, where
        if not isinstance(found, dict):
            return self._wrong("bad_row", 'it is no object. Write {"text": …, "entities": […]}.')
        text = _first(found, TEXT_NAMES)
        if not isinstance(text, str) or not is_text(text):
            return self._wrong("bad_row", 'it has no "text" that is a string.')
        if not text.strip():
            return self._wrong("empty_text", "its text is empty.")
        entities = _first(found, _ENTITIES)
        if not isinstance(entities, list):
            return self._wrong("bad_row", 'it has no list "entities". It is empty where nothing is marked.')
        relations = found.get("relations") or []
        if not isinstance(relations, list):
            return self._wrong("bad_row", 'its "relations" are no list.')
        if max(len(entities), len(relations)) > _MOST_MARKED:
            return self._wrong("text_too_large", f"it has more than {_MOST_MARKED:,} entities or relations. Split it.")
        return self._marked(text, entities, relations)

    def _marked(self, text: str, entities: list[Any], relations: list[Any]) -> Marked:
        """What is marked in the text, as far as it is right."""
        marked = Marked(text)
        known: dict[str, int] = {}
        for number, entry in enumerate(entities):
            self._entity(marked, known, number, entry)
        for number, entry in enumerate(relations):
            self._relation(marked, known, number, entry)
        return marked

    def _entity(self, marked: Marked, known: dict[str, int], number: int, entry: Any) -> None:
        """One entity; `known` says by their ids which those are that were right so far."""
        if isinstance(entry, list) and len(entry) == 3:
            entry = dict(zip(("start", "end", "label"), entry, strict=True))
        if not isinstance(entry, dict):
            self._wrong("bad_entity", f'entity {number}: write {{"start", "end", "label"}} or [start, end, label].')
            return
        start, end, label = _first(entry, _START), _first(entry, _END), _first(entry, _CLASS)
        name = _id(entry, number)
        if fault := label_fault(label):
            self._wrong("bad_label", f"entity {number}: its label {fault}.")
        elif type(start) is not int or type(end) is not int or not 0 <= start < end:
            self._wrong(
                "bad_offsets", f"entity {number}: start and end are not whole numbers, the end behind the start."
            )
        elif end > len(marked.text):
            reason = f"entity {number}: it ends at {end}, and the text has {len(marked.text)} characters."
            self._wrong("offsets_outside", reason)
        elif name is None:
            self._wrong("bad_entity", f"entity {number}: its id is neither a string nor a number.")
        elif name in known:
            reason = f"entity {number}: its id {name[:_SHORT]!r} is that of entity {known[name]}."
            self._wrong("duplicate_id", f"{reason} {_IDS}")
        else:
            known[name] = number
            self._compare(number, marked.text[start:end], entry.get("text"))
            named = {"id": name, "class": label.strip(), "spans": [[start, end]]}
            marked.entities.append({**named, "text": marked.text[start:end][:_ENTITY_CHARACTERS]})

    def _compare(self, number: int, here: str, said: Any) -> None:
        if isinstance(said, str) and said != here:
            reason = f"entity {number}: the text at its offsets is {here[:_SHORT]!r}, not {said[:_SHORT]!r}."
            self._wrong("text_mismatch", f"{reason} Offsets count characters, not bytes.")

    def _relation(self, marked: Marked, known: Collection[str], number: int, entry: Any) -> None:
        if not isinstance(entry, dict):
            self._wrong("bad_relation", f'relation {number}: write {{"from", "to", "label"}}.')
            return
        label, name = _first(entry, ("type", "label", "class")), _id(entry, number)
        ends = [_named(_first(entry, names)) for names in (_FROM, _TO)]
        if fault := label_fault(label):
            self._wrong("bad_label", f"relation {number}: its type {fault}.")
        elif missing := [end for end in ends if end not in known]:
            which = "what has no id" if missing[0] is None else missing[0][:_SHORT]
            self._wrong(
                "missing_reference", f"relation {number}: it refers to {which}, which is no entity of this text."
            )
        elif name is None:
            self._wrong("bad_relation", f"relation {number}: its id is neither a string nor a number.")
        else:
            marked.relations.append({"id": name, "class": label.strip(), "from": ends[0], "to": ends[1]})

    def _wrong(self, code: str, reason: str) -> Marked | None:
        """Tell a fault; gives None, which is what is left of the text."""
        shown = f"{self._where}{reason}"
        self._sink.error(code, self._path, shown[:1].upper() + shown[1:], self._line or None)
        return None


def _first(found: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((found[name] for name in names if name in found), None)


def _id(entry: dict[str, Any], number: int) -> str | None:
    """The id of an entry, which is its number where it says none; None where it is wrong."""
    said = entry.get("id")
    return str(number) if said is None else _named(said)


def _named(said: Any) -> str | None:
    """An id as text, None where it is neither a string nor a number (`true` is one to Python alone)."""
    name = str(said) if isinstance(said, str | int | float) and not isinstance(said, bool) else None
    return name if name is not None and is_text(name) else None


class Tally:
    """Counts texts with what is marked in them. `samples` notes where those begin that lie in a file line after line,
    or in a list: pages show them from the file itself, so only a text that is a file of its own is kept to be shown."""

    def __init__(self, sink: Sink) -> None:
        self._counts = Counts(sink)
        self._rows = 0
        self._files: dict[str, tuple[int, bytes, set[str]]] = {}
        self.samples: dict[str, Samples] = {}

    def add(self, path: str, line: int, marked: Marked, *, begins: int = 0) -> None:
        """One text of a file, which is in that line (from 1); `begins` is the line that is the first of it alone, in a
        list its first byte, 0 where the file is this text."""
        labels = self._counts.add(path, marked.text, {"entities": marked.entities, "relations": marked.relations})
        if begins:
            self.samples.setdefault(path, Samples()).add(begins, labels)
        self._rows += 1
        rows, alone, known = self._files.get(path, (0, b"", set()))
        if len(known) < MOST_CLASSES:
            known |= labels
        self._files[path] = rows + 1, alone if begins else packed(shown(line, marked)), known

    def finish(self, purpose: str) -> Summary:
        """The figures; tells where nothing of what the purpose needs is there."""
        self._counts.look_for(purpose)
        return {**self._counts.figures(), "rows": self._rows}

    def texts(self, encodings: dict[str, int]) -> Summary:
        """Lengths in characters, and in what encoding how many files are."""
        return self._counts.texts(encodings)

    def annotations(self) -> Annotations:
        """Of each file how many texts it has, and their classes; the text itself where the file is that."""
        for path, (rows, alone, labels) in self._files.items():
            yield path, b'{"kind":"rows","total":%d,"rows":[%b]}' % (rows, alone), labels
