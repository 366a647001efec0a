"""A job's own checkpoint, kept between its attempts: one file, replaced in one step, never a pickle."""

import hashlib
import json
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import atomic
from .arrays import Array
from .process import say

FILE = "checkpoint.npz"
SECONDS_BETWEEN = 1.0


@dataclass(frozen=True)
class Checkpoint:
    """How far training was (`state`, plain JSON) and everything it had learned (`arrays`)."""

    state: dict[str, Any]
    arrays: dict[str, Array]


def fingerprint(**facts: Any) -> str:
    """A digest of what a training run depends on; a checkpoint of another run must not be continued."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Checkpoints:
    """Keeps the latest checkpoint of one training run; without a folder it keeps none."""

    def __init__(self, folder: Path | None, run: str) -> None:
        self._path = None if folder is None else folder / FILE
        self._run = run
        self._saved_at = time.monotonic()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> Checkpoint | None:
        """The checkpoint to continue from; None (and a line in the log) where there is no usable one."""
        if self._path is None or not self._path.exists():
            return None
        try:
            with self._path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            state = json.loads(arrays.pop("state").tobytes())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as reason:
            say(f"the checkpoint can't be read ({reason}): starting from the beginning")
            return None
        if state.pop("run") != self._run:
            say("the checkpoint belongs to other data or parameters: starting from the beginning")
            return None
        return Checkpoint(state, arrays)

    def save(self, state: Mapping[str, Any], arrays: Mapping[str, Array], *, now: bool = False) -> None:
        """Keep this state; unless `now`, at most once a second, so that short steps don't write all the time."""
        if self._path is None or not (now or time.monotonic() - self._saved_at >= SECONDS_BETWEEN):
            return
        text = json.dumps({**state, "run": self._run}).encode()
        whole = {**arrays, "state": np.frombuffer(text, dtype=np.uint8)}
        atomic.replace(self._path, lambda file: np.savez(file, **whole))  # type: ignore[arg-type]
        self._saved_at = time.monotonic()
