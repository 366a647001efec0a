"""A reader of the JSON schemas in the AsyncAPI document that shares no code with what wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
KNOWN = frozenset(
    [
        "$ref",
        "type",
        "properties",
        "required",
        "items",
        "additionalProperties",
        "anyOf",
        "allOf",
        "const",
        "enum",
        "minimum",
        "format",
    ]
)
WORDS = frozenset({"title", "description", "default"})


def found_at(document: Any, ref: str) -> Any:
    """What a reference within the document means. Raises KeyError."""
    for step in ref.removeprefix("#/").split("/"):
        document = document[step]
    return document


def faults(document: Any, schema: dict[str, Any], value: Any, at: str = "$") -> Iterator[str]:
    """What is wrong with a value; a keyword that is not known here is a fault of the schema."""
    if unknown := set(schema) - KNOWN - WORDS:
        yield f"{at}: unknown keywords {unknown}"
    if "$ref" in schema:
        yield from faults(document, found_at(document, schema["$ref"]), value, at)
    for part in schema.get("allOf", ()):
        yield from faults(document, part, value, at)
    if "anyOf" in schema and all(list(faults(document, part, value, at)) for part in schema["anyOf"]):
        yield f"{at}: {value!r} is none of the variants"
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    if not _is(schema.get("type"), value):
        yield f"{at}: {value!r} is no {schema['type']}"
        return
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{at}: {value} is below {schema['minimum']}"
    if isinstance(value, dict):
        yield from _members(document, schema, value, at)
    if isinstance(value, list) and "items" in schema:
        for number, one in enumerate(value):
            yield from faults(document, schema["items"], one, f"{at}[{number}]")


def _is(kind: str | None, value: Any) -> bool:
    if kind is None:
        return True
    if kind in ("integer", "number") and isinstance(value, bool):
        return False
    return isinstance(value, TYPES[kind])  # type: ignore[arg-type]


def _members(document: Any, schema: dict[str, Any], value: dict[str, Any], at: str) -> Iterator[str]:
    yield from (f"{at}.{name}: missing" for name in schema.get("required", ()) if name not in value)
    for name, one in value.items():
        inner = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
        if isinstance(inner, dict):
            yield from faults(document, inner, one, f"{at}.{name}")
