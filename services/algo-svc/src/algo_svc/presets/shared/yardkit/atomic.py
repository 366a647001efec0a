"""Files that are there whole or not at all, also when the process is killed while it writes."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


def replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside `path` and put it in its place in one step; raises OSError and leaves no rest."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            write(file)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as strict JSON (no NaN) in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1)
    replace(path, lambda file: file.write(text.encode() + b"\n"))
