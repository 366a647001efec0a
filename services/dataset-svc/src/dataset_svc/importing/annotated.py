"""What is annotated in the files of a version, kept beside it: a list of its own, so that the version's digest is that
of what was uploaded and nothing else.

In that list `file/<path>` is what is annotated in a file, as JSON, and an empty `class/<number>/<path>` says that it
has an object of that class; the number stands for the class' name, which may be no name of a folder.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from common.manifests.pack import PackWriter
from dataset_svc.formats import Checker

FOLDER = "annotations"
"""Where it is written, within the folder of packs, and stored, below the version's key."""

_LONGEST_PATH = 2_000
"""Bytes; the list's own prefixes must fit before it."""


def entry_of(path: str) -> str:
    """Where in the list stands what is annotated in a file."""
    return f"file/{path}"


def class_prefix(label: str) -> str:
    """What the entries of files with that class begin with."""
    return f"class/{hashlib.sha256(label.encode()).hexdigest()[:16]}/"


def write(checker: Checker, packs: Path, pack_bytes: int) -> None:
    """Write the list, if there is anything to be written. Raises StorageFull (`storage_full`)."""
    writer: PackWriter | None = None
    for path, found, labels in checker.annotations():
        if len(path.encode()) > _LONGEST_PATH:
            continue
        writer = writer or PackWriter(packs / FOLDER, pack_bytes=pack_bytes)
        writer.add_bytes(entry_of(path), found)
        for label in labels:
            writer.add_bytes(class_prefix(label) + path, b"")
    if writer is not None:
        writer.finish()
