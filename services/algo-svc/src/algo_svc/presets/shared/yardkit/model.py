"""A trained model on disk: `model.json` says what it is, `weights.npz` holds plain arrays.

Nothing in them is executable (no pickle): whoever loads a model that somebody else shared runs none of
that person's code.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import atomic
from .arrays import Array
from .process import Refused

DESCRIPTION, WEIGHTS = "model.json", "weights.npz"
FORMAT = "modelyard-preset/1"


def save(folder: Path, algorithm: str, description: Mapping[str, Any], weights: Mapping[str, Array]) -> None:
    """Write the model; `model.json` comes last, so that a folder which has it is complete."""
    atomic.replace(folder / WEIGHTS, lambda file: np.savez_compressed(file, **weights))  # type: ignore[arg-type]
    atomic.write_json(folder / DESCRIPTION, {"format": FORMAT, "algorithm": algorithm, **description})


def load(folder: Path, algorithm: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Description and weights; raises `Refused` where the folder holds no sound model of this algorithm."""
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        with (folder / WEIGHTS).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            weights = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as reason:
        raise Refused(f"no model can be read from {folder}: {reason}") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise Refused(f"{folder / DESCRIPTION} is not of the format {FORMAT}")
    if description.get("algorithm") != algorithm:
        raise Refused(f"the model in {folder} was trained by {description.get('algorithm')!r}, not {algorithm!r}")
    return description, weights


def digest(folder: Path | None) -> str:
    """SHA-256 of the weights of a model to start from; empty where there is none."""
    if not present(folder):
        return ""
    assert folder is not None
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def present(folder: Path | None) -> bool:
    """Whether the folder holds a complete model."""
    return folder is not None and (folder / DESCRIPTION).is_file() and (folder / WEIGHTS).is_file()
