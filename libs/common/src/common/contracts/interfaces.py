"""What the inputs of an inference interface may be, and how a text becomes a value of its type.

algo-svc checks test values with it, serving-svc builds requests with it (seed 002 §2.2.1, §2.7.9).
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable
from typing import Any

INPUT_TYPES = ("String", "Integer", "Number", "Boolean", "Object", "Array", "File")
"""`File` is told in base64; `Object` and `Array` in JSON."""


def typed(kind: str, value: Any) -> Any:
    """`value` (usually a text) as a value of that input type; bytes for a `File`.

    Raises ValueError, saying what is expected, where it is none.
    """
    reader: Callable[[Any], Any] = _READERS.get(kind, _string)
    return reader(value)


def _string(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise ValueError("a text is expected")


def _integer(value: Any) -> int:
    try:
        if isinstance(value, str | int) and not isinstance(value, bool):
            return int(value)
    except ValueError:
        pass
    raise ValueError(f"an integer is expected, not {_shown(value)}")


def _number(value: Any) -> int | float:
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool) and math.isfinite(float(value)):
            return value if not isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"a finite number is expected, not {_shown(value)}")


def _boolean(value: Any) -> bool:
    named = {"true": True, "false": False}.get(str(value).lower())
    if named is None:
        raise ValueError(f"true or false is expected, not {_shown(value)}")
    return named


def _json_of(expected: type, name: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        try:
            found = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if not isinstance(found, expected):
            raise ValueError(f"{name} in JSON is expected, not {_shown(value)}")
        return found

    return read


def _file(value: Any) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise ValueError("a file in base64 is expected")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


_READERS: dict[str, Callable[[Any], Any]] = {
    "String": _string,
    "Integer": _integer,
    "Number": _number,
    "Boolean": _boolean,
    "Object": _json_of(dict, "an object"),
    "Array": _json_of(list, "an array"),
    "File": _file,
}
