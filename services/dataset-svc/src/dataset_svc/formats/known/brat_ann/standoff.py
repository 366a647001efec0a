"""One `.ann` file: its lines parsed, its offsets held against the text, its references against one another."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

Tell = Callable[[str, str, str, int], None]
"""Takes severity (`error`, `warning`), code, reason and line (from 1)."""

_ENTITY = re.compile(r"(\S{1,200}) (\d{1,12} \d{1,12}(?:;\d{1,12} \d{1,12})*)").fullmatch
_ROLE = re.compile(r"([^\s:]+):(\S+)").fullmatch
_SHOWN = 60
_BLANKS = 10
"""How many times as long as the text in its line that at the offsets may be, blanks and ends of lines counted."""


@dataclass
class Document:
    """What a document's annotations say. Offsets are in characters of the text, the end exclusive."""

    entities: dict[str, dict[str, Any]] = field(default_factory=dict)
    relations: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As sample pages show it."""
        groups = {
            name: list(getattr(self, name).values()) for name in ("entities", "relations", "events", "attributes")
        }
        return {"kind": "spans", **groups, "notes": self.notes}


class Standoff:
    """Parses one file. Source: brat standoff format, "Annotation ID conventions" and the sections on each kind."""

    def __init__(self, text: str, tell: Tell) -> None:
        self._text, self._tell = text, tell
        self._flat = text.replace("\r\n", "  ").replace("\n", " ").replace("\r", " ")
        self._line = 0
        self._lines: dict[str, int] = {}
        self._wanted: list[tuple[str, int, str]] = []
        self.document = Document()
        self._kinds: dict[str, Callable[[str, str, str], None]] = {
            "T": self._entity,
            "R": self._relation,
            "E": self._event,
            "A": self._attribute,
            "M": self._attribute,
            "N": self._normalisation,
            "#": self._note,
        }

    def parse(self, annotations: str) -> Document:
        """Read every line, then look whether what they refer to is there."""
        for self._line, line in enumerate(annotations.split("\n"), 1):
            line = line.removesuffix("\r")
            if line.strip():
                self._take(line)
        for target, at, whose in self._wanted:
            if target not in self._lines:
                self._tell("error", "missing_reference", f"{whose} refers to {target}, which is not in this file.", at)
        return self.document

    def _take(self, line: str) -> None:
        name, tab, rest = line.partition("\t")
        body, _, text = rest.partition("\t")
        if name == "*" and tab:
            return self._equivalence(body)
        kind = self._kinds.get(name[:1])
        if kind is None or not tab or not name[1:].isalnum():
            return self._error(
                "bad_line", f"This is no annotation: {line[:_SHOWN]!r}. A line is an id, a tab, and more."
            )
        if name in self._lines:
            return self._error("duplicate_id", f"{name} is in line {self._lines[name]} already.")
        self._lines[name] = self._line
        return kind(name, body, text)

    def _entity(self, name: str, body: str, text: str) -> None:
        """`T1<tab>Person 0 4;9 12<tab>text`: several spans where it is discontinuous."""
        found = _ENTITY(body)
        if found is None:
            return self._error(
                "bad_entity", f"{name}: write a type and offsets, such as 'Person 0 4', not {body[:_SHOWN]!r}."
            )
        spans = [tuple(map(int, span.split(" "))) for span in found[2].split(";")]
        for start, end in spans:
            if start >= end:
                return self._error("bad_offsets", f"{name}: the span {start} {end} is empty or backwards.")
            if end > len(self._text):
                reason = f"{name}: the span {start} {end} is outside the text, which has {len(self._text)} characters."
                return self._error("offsets_outside", reason)
        if any(before[1] > after[0] for before, after in pairwise(spans)):
            return self._error("bad_offsets", f"{name}: its spans overlap or are not in order.")
        self._compare(name, spans, text)
        self.document.entities[name] = {"id": name, "class": found[1], "spans": spans, "text": text}
        return None

    def _compare(self, name: str, spans: list[tuple[int, ...]], text: str) -> None:
        """The text that stands in the line must be that at the offsets; a line's end there is a space here."""
        longest = _BLANKS * len(text) + _SHOWN  # far longer is another text: none of it is compared in vain
        length = sum(end - start for start, end in spans)
        here = " ".join(self._flat[start : min(end, start + longest)] for start, end in spans)
        if length > longest or " ".join(here.split()) != " ".join(text.split()):
            reason = (
                f"{name}: the text at its offsets is {here[:_SHOWN]!r}, not {text[:_SHOWN]!r}. "
                "Offsets count characters (not bytes) from the beginning of the file."
            )
            self._error("text_mismatch", reason)

    def _relation(self, name: str, body: str, text: str) -> None:
        """`R1<tab>Origin Arg1:T3 Arg2:T4`."""
        kind, roles = self._roles(name, body)
        if kind is None or len(roles) != 2:
            return self._error(
                "bad_relation", f"{name}: write a type and two arguments, such as 'Origin Arg1:T1 Arg2:T2'."
            )
        self.document.relations[name] = {"id": name, "class": kind, "from": roles[0][1], "to": roles[1][1]}
        return None

    def _event(self, name: str, body: str, text: str) -> None:
        """`E1<tab>MERGE:T2 Org1:T1 Org2:T3`: the trigger, then what takes part."""
        first, _, rest = body.partition(" ")
        trigger = _ROLE(first)
        if trigger is None:
            return self._error("bad_event", f"{name}: write a type with its trigger, such as 'Merge:T2', first.")
        kind, roles = self._roles(name, f"x {rest}")
        if kind is None:
            return self._error("bad_event", f"{name}: write each argument as 'Role:T1', not {rest[:_SHOWN]!r}.")
        self._want(trigger[2], name)
        arguments = [{"role": role, "of": target} for role, target in roles]
        self.document.events[name] = {"id": name, "class": trigger[1], "trigger": trigger[2], "arguments": arguments}
        return None

    def _attribute(self, name: str, body: str, text: str) -> None:
        """`A1<tab>Negation E1` or `A2<tab>Confidence E2 L1`."""
        parts = body.split()
        if len(parts) not in (2, 3):
            return self._error("bad_attribute", f"{name}: write a name, what it is said of, and perhaps a value.")
        self._want(parts[1], name)
        value: str | bool = parts[2] if len(parts) == 3 else True
        self.document.attributes[name] = {"id": name, "class": parts[0], "of": parts[1], "value": value}
        return None

    def _normalisation(self, name: str, body: str, text: str) -> None:
        """`N1<tab>Reference T1 Wikipedia:534366<tab>Barack Obama`."""
        parts = body.split()
        if len(parts) != 3 or ":" not in parts[2]:
            return self._error("bad_normalisation", f"{name}: write 'Reference T1 Resource:entry'.")
        self._want(parts[1], name)
        self.document.notes.append({"id": name, "of": parts[1], "text": f"{parts[2]} {text}".strip()})
        return None

    def _note(self, name: str, body: str, text: str) -> None:
        """`#1<tab>AnnotatorNotes T1<tab>text`."""
        parts = body.split()
        if len(parts) != 2:
            return self._error("bad_note", f"{name}: write 'AnnotatorNotes T1', a tab, and the note.")
        self._want(parts[1], name)
        self.document.notes.append({"id": name, "of": parts[1], "text": text})
        return None

    def _equivalence(self, body: str) -> None:
        """`*<tab>Equiv T1 T2`: names for one thing."""
        kind, *targets = body.split() or [""]
        if not kind or len(targets) < 2:
            return self._error("bad_equivalence", "Write 'Equiv' and at least two ids.")
        for target in targets:
            self._want(target, "*")
        return None

    def _roles(self, name: str, body: str) -> tuple[str | None, list[tuple[str, str]]]:
        """A type and `Role:target` pairs; None where it is something else."""
        kind, *rest = body.split() or [""]
        found = [_ROLE(part) for part in rest]
        roles = [(role[1], role[2]) for role in found if role is not None]
        if not kind or len(roles) != len(found):
            return None, []
        for _, target in roles:
            self._want(target, name)
        return kind, roles

    def _want(self, target: str, whose: str) -> None:
        self._wanted.append((target, self._line, whose))

    def _error(self, code: str, reason: str) -> None:
        self._tell("error", code, reason, self._line)
