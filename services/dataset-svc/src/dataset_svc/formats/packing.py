"""JSON that is kept by the hundred thousand until the whole is seen, in no more memory than it has bytes."""

from __future__ import annotations

from typing import Any

import orjson


def packed(value: Any) -> bytes:
    """The value as JSON. orjson's own result keeps the room that it was written in, thirty times a small one's size."""
    return bytes(memoryview(orjson.dumps(value)))
