"""Whether readers of yesterday's events can read today's, and readers of today yesterday's: evolution by addition only.

Both are needed: another system is not rebuilt when we are, and events of the version before still lie in outboxes,
queues and inboxes when a new version starts. Pure functions over AsyncAPI documents as plain JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

_WORDS = frozenset({"title", "description", "examples"})
"""Keywords of JSON Schema that say nothing about what is valid."""

_LOOKED_INTO = frozenset(
    {"$ref", "properties", "required", "items", "additionalProperties", "anyOf", "allOf", "const", "enum"}
)
"""Keywords that have rules of their own here."""

_SCHEMAS = "#/components/schemas/"


@dataclass(frozen=True)
class _Reader:
    """What two documents say about schemas; `seen` are pairs that are being compared already."""

    before: Json
    after: Json
    seen: frozenset[tuple[str, str]] = frozenset()

    def differences(self, old: Json, new: Json, at: str) -> Iterator[str]:
        """Everything by which the new schema breaks somebody, `at` a place in an event."""
        names = (str(old.get("$ref", "")), str(new.get("$ref", "")))
        if all(names):
            if names in self.seen:
                return
            inner = _Reader(self.before, self.after, self.seen | {names})
            yield from inner.differences(_target(self.before, names[0]), _target(self.after, names[1]), at)
            return
        old, new = _resolved(self.before, old), _resolved(self.after, new)
        yield from self._keywords(old, new, at)
        yield from self._fields(old, new, at)
        for keyword in ("items", "additionalProperties"):
            yield from self._inner(old.get(keyword), new.get(keyword), f"{at}[]")
        yield from self._variants(old, new, at)
        if gone := [value for value in old.get("enum", ()) if value not in new.get("enum", old["enum"])]:
            yield f"{at}: the value {', '.join(map(repr, gone))} is no longer there"
        if "enum" in new and "enum" not in old:
            yield f"{at}: it was free and is now one of certain values"

    def _keywords(self, old: Json, new: Json, at: str) -> Iterator[str]:
        for keyword in sorted((set(old) | set(new)) - _WORDS - _LOOKED_INTO):
            if old.get(keyword, _MISSING) != new.get(keyword, _MISSING):
                yield f"{at}: {keyword} was {_shown(old, keyword)} and is now {_shown(new, keyword)}"

    def _fields(self, old: Json, new: Json, at: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        always_before, always_after = set(old.get("required", ())), set(new.get("required", ()))
        for name in before:
            where = f"{at}.{name}"
            if name not in after:
                yield f"{where}: the field is gone"
                continue
            if name in always_before - always_after:
                yield f"{where}: it was always there and may now be missing"
            if name in always_after - always_before:
                yield f"{where}: it is now required, but events of the version before may lack it"
            yield from self.differences(before[name], after[name], where)
        for name in sorted((always_after - always_before) - set(before)):
            yield f"{at}.{name}: the new field has no default, but events of the version before lack it"

    def _inner(self, old: Any, new: Any, at: str) -> Iterator[str]:
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from self.differences(old, new, at)
        elif old != new:
            yield f"{at}: what it may hold has changed"

    def _variants(self, old: Json, new: Json, at: str) -> Iterator[str]:
        for keyword in ("anyOf", "allOf"):
            before, after = old.get(keyword, ()), new.get(keyword, ())
            if len(before) != len(after):
                yield f"{at}: its type has changed ({keyword} had {len(before)} parts and has {len(after)})"
                continue
            for one, other in zip(before, after, strict=True):
                yield from self.differences(one, other, at)


_MISSING = object()


def _target(document: Json, ref: str) -> Json:
    found: Json = document["components"]["schemas"][ref.removeprefix(_SCHEMAS)]
    return found


def _resolved(document: Json, schema: Json) -> Json:
    """The schema with what it refers to; a constant is an enumeration of one."""
    if "$ref" in schema:
        beside = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
        schema = {**_target(document, schema["$ref"]), **beside}
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    return schema


def _shown(schema: Json, keyword: str) -> str:
    return repr(schema[keyword]) if keyword in schema else "not said"


def breaks(before: Json, after: Json) -> list[str]:
    """What of the later AsyncAPI document breaks a reader of the earlier one, a line each; empty for additions.

    A type whose `dataversion` was raised is not compared: its readers can tell.
    """
    told: list[str] = []
    events = after["components"]["messages"]
    envelope = {"$ref": f"{_SCHEMAS}CloudEvent"}
    told += _Reader(before, after).differences(envelope, envelope, "envelope")
    for name, old in before["components"]["messages"].items():
        if name not in events:
            told.append(f"{name}: the event is gone")
            continue
        (version, data), (version_now, data_now) = _content(old), _content(events[name])
        if version_now < version:
            told.append(f"{name}: dataversion went back from {version} to {version_now}")
        elif version_now == version:
            told += _Reader(before, after).differences(data, data_now, f"{name} data")
    return told


def _content(message: Json) -> tuple[int, Json]:
    """The version and the schema of what an event says."""
    narrowed = message["payload"]["allOf"][1]["properties"]
    return narrowed["dataversion"]["const"], narrowed["data"]


def advice(broken: Sequence[str]) -> str:
    """What is broken, and what to do instead, for whoever changed a contract."""
    return "\n".join(
        [
            "These changes break systems that read our events:",
            *(f"  {line}" for line in broken),
            "Keep what there is and add beside it: a field with a default, a value, an event of a new type.",
            "Where a field must mean something else, raise `dataversion` of that event's class, so that readers can "
            "tell, and keep reading what was told before (the golden files).",
        ]
    )
