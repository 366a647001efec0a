"""Texts in which entities are marked, and perhaps relations between them, as JSON says it (doccano's two layouts, and
plain ones), and what is counted of them, whichever file they are in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from dataset_svc.formats.labels import is_text, label_fault
from dataset_svc.formats.packing import packed
from dataset_svc.formats.port import Annotations, Sink, Summary
from dataset_svc.formats.ranges import Range
from dataset_svc.formats.samples import Samples
from dataset_svc.formats.together import SHOWN, Together

_TEXT = ("text", "content", "sentence", "文本", "内容", "正文")
_ENTITIES = ("entities", "label", "labels", "spans")
_START, _END = ("start", "start_offset"), ("end", "end_offset")
_CLASS = ("label", "class", "type")
_FROM, _TO = ("from", "from_id"), ("to", "to_id")
_SHOWN_ROWS = 20
_SHOWN_CHARACTERS = 2_000
_LABELS_OF_A_FILE = 1_000
_SHORT = 60


@dataclass
class Marked:
    """A text; its entities with class and offsets (in characters, the end exclusive), and relations between them."""

    text: str
    entities: list[dict[str, Any]] = field(default_factory=list)
    relations: list[dict[str, Any]] = field(default_factory=list)


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
        text = _first(found, _TEXT)
        if not isinstance(text, str) or not is_text(text):
            return self._wrong("bad_row", 'it has no "text" that is a string.')
        if not text.strip():
            return self._wrong("empty_text", "its text is empty.")
        entities = _first(found, _ENTITIES)
        if not isinstance(entities, list):
            return self._wrong("bad_row", 'it has no list "entities". It is empty where nothing is marked.')
        marked = Marked(text)
        for number, entry in enumerate(entities):
            self._entity(marked, number, entry)
        relations = found.get("relations") or []
        if not isinstance(relations, list):
            return self._wrong("bad_row", 'its "relations" are no list.')
        for number, entry in enumerate(relations):
            self._relation(marked, number, entry)
        return marked

    def _entity(self, marked: Marked, number: int, entry: Any) -> None:
        if isinstance(entry, list) and len(entry) == 3:
            entry = dict(zip(("start", "end", "label"), entry, strict=True))
        if not isinstance(entry, dict):
            self._wrong("bad_entity", f'entity {number}: write {{"start", "end", "label"}} or [start, end, label].')
            return
        start, end, label = _first(entry, _START), _first(entry, _END), _first(entry, _CLASS)
        if not isinstance(label, str) or label_fault(label):
            fault = label_fault(label) if isinstance(label, str) else "is missing"
            self._wrong("bad_label", f"entity {number}: its label {fault}.")
        elif type(start) is not int or type(end) is not int or not 0 <= start < end:
            self._wrong(
                "bad_offsets", f"entity {number}: start and end are not whole numbers, the end behind the start."
            )
        elif end > len(marked.text):
            reason = f"entity {number}: it ends at {end}, and the text has {len(marked.text)} characters."
            self._wrong("offsets_outside", reason)
        else:
            self._compare(number, marked.text[start:end], entry.get("text"))
            named = {"id": str(entry.get("id", number)), "class": label.strip(), "spans": [[start, end]]}
            marked.entities.append({**named, "text": marked.text[start:end][:_SHOWN_CHARACTERS]})

    def _compare(self, number: int, here: str, said: Any) -> None:
        if isinstance(said, str) and said != here:
            reason = f"entity {number}: the text at its offsets is {here[:_SHORT]!r}, not {said[:_SHORT]!r}."
            self._wrong("text_mismatch", f"{reason} Offsets count characters, not bytes.")

    def _relation(self, marked: Marked, number: int, entry: Any) -> None:
        if not isinstance(entry, dict):
            self._wrong("bad_relation", f'relation {number}: write {{"from", "to", "label"}}.')
            return
        label, ends = _first(entry, ("type", "label", "class")), (_first(entry, _FROM), _first(entry, _TO))
        known = {entity["id"] for entity in marked.entities}
        if not isinstance(label, str) or label_fault(label):
            self._wrong("bad_label", f"relation {number}: its type is missing, or no name of a class.")
        elif missing := [end for end in ends if str(end) not in known]:
            reason = f"relation {number}: it refers to {str(missing[0])[:_SHORT]}, which is no entity of this text."
            self._wrong("missing_reference", reason)
        else:
            name = {"id": str(entry.get("id", number)), "class": label.strip()}
            marked.relations.append({**name, "from": str(ends[0]), "to": str(ends[1])})

    def _wrong(self, code: str, reason: str) -> Marked | None:
        """Tell a fault; gives None, which is what is left of the text."""
        shown = f"{self._where}{reason}"
        self._sink.error(code, self._path, shown[:1].upper() + shown[1:], self._line or None)
        return None


def _first(found: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((found[name] for name in names if name in found), None)


class Tally:
    """Counts texts with what is marked in them, and keeps the first ones of each file. `samples` notes where those
    begin that lie in a file line after line."""

    def __init__(self) -> None:
        self._classes: Counter[str] = Counter()
        self._counts = {"entities": Counter[str](), "relations": Counter[str]()}
        self._related: Counter[tuple[str, str, str]] = Counter()
        self._together, self._length = Together(), Range()
        self._rows = self._unannotated = 0
        self._files: dict[str, tuple[int, list[bytes], set[str]]] = {}
        self.samples: dict[str, Samples] = {}

    def add(self, path: str, line: int, marked: Marked, *, begins: int = 0) -> None:
        """One text of a file, which is in that line (from 1); `begins` is the line that is the first of it alone, 0
        where it has no lines of its own."""
        labels = {entity["class"] for entity in marked.entities}
        if begins:
            self.samples.setdefault(path, Samples()).add(begins, labels)
        self._rows += 1
        self._unannotated += not labels
        self._length.add(len(marked.text))
        self._classes.update(labels)
        self._together.add(labels)
        self._counts["entities"].update(entity["class"] for entity in marked.entities)
        self._counts["relations"].update(relation["class"] for relation in marked.relations)
        ends = {entity["id"]: entity["class"] for entity in marked.entities}
        self._related.update((ends[one["from"]], one["class"], ends[one["to"]]) for one in marked.relations)
        self._keep(path, line, marked, labels)

    def _keep(self, path: str, line: int, marked: Marked, labels: set[str]) -> None:
        rows, shown, known = self._files.get(path, (0, [], set()))
        if rows < _SHOWN_ROWS:
            inside = [entity for entity in marked.entities if entity["spans"][-1][1] <= _SHOWN_CHARACTERS]
            row = {"line": line, "text": marked.text[:_SHOWN_CHARACTERS], "entities": inside}
            shown.append(packed({**row, **({"relations": marked.relations} if marked.relations else {})}))
        if len(known) < _LABELS_OF_A_FILE:
            known |= labels
        self._files[path] = (rows + 1, shown, known)

    def finish(self, purpose: str, sink: Sink) -> Summary:
        """The figures; tells where nothing of what the purpose needs is there."""
        needed = "relations" if purpose == "text/relation" else "entities"
        if not self._counts[needed]:
            sink.error(f"no_{needed}", "", f"There are no {needed} in the whole archive; nothing could be learned.")
        related = self._related.most_common(SHOWN)
        return {
            "classes": dict(sorted(self._classes.items())),
            **{name: dict(sorted(counted.items())) for name, counted in self._counts.items()},
            "rows": self._rows,
            "together": self._together.as_json(),
            "related": [{"from": a, "class": name, "to": b, "count": count} for (a, name, b), count in related],
            "unannotated": self._unannotated,
        }

    def texts(self, encodings: dict[str, int]) -> Summary:
        """Lengths in characters, and in what encoding how many files are."""
        return {"length": self._length.as_json(), "encodings": encodings}

    def annotations(self) -> Annotations:
        """The first rows of each file, and the classes in it."""
        for path, (rows, shown, labels) in self._files.items():
            head = f'{{"kind":"rows","total":{rows},"rows":['.encode()
            yield path, head + b",".join(shown) + b"]}", labels
