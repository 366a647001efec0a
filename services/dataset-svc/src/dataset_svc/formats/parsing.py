"""JSON as strangers write it: what it says, or in a person's words what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

from dataset_svc.formats.decoding import NotText


def parsed(text: str) -> Any:
    """What a text of JSON says. Raises NotText (`bad_json`) with the line of the text, from 1."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise no_json(error) from None


def no_json(error: ValueError | RecursionError) -> NotText:
    """What the parser of `json` raised, as a fault. Of huge numbers it would tell how Python can be set up."""
    if isinstance(error, json.JSONDecodeError):
        return NotText("bad_json", f"This is no JSON: {error.msg} (column {error.colno}).", error.lineno)
    return NotText("bad_json", "This is no JSON that can be read: it is nested too deep, or has huge numbers.")
