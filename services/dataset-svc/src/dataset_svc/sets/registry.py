"""The formats there are. Each is a module here with a `FORMAT`, loaded when it is first asked for: some stand on large
libraries, which a service that makes no such set need not carry in memory."""

from __future__ import annotations

from importlib import import_module

from dataset_svc.sets.port import SetFormat

RAW = "raw"
"""The files as they are: nothing is encoded, the set is another list over the version's own packs."""

NAMES = (RAW, "recordio", "lmdb", "webdataset", "tfrecord", "parquet")
ANNOTATED = (RAW, "webdataset", "tfrecord", "parquet")
"""Those that hold what is annotated in a file, and rows of text; of the others a record is a file and its one class."""


def set_format(name: str) -> SetFormat:
    """The encoder of that format, of any but `raw`."""
    found: SetFormat = import_module(f"dataset_svc.sets.{name}").FORMAT
    return found
