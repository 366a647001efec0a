"""WebDataset: tar shards in which the files of one sample follow one another and share a key.

`00000012.png` is the sample, `00000012.cls` its label, and `00000012.json` its path, its class and what is annotated in
it. A file is kept byte by byte, one that is `.json` or `.cls` itself, or has no real ending, as `.txt`, and as `.bin`
where it is no text; of a file with many texts `.txt` is one, in UTF-8, and the JSON has its `row`.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from dataset_svc.sets.port import Record, SetFormat, Terms, check_size

_MOST = 8 << 30
_BLOCK = 512
_OURS = ("json", "cls")
_LONGEST_SUFFIX = 80
"""Bytes; with the key it must have room in what USTAR has for a name."""


class WebDataset:
    """Shards `data-000000.tar` and so on."""

    def __init__(self, folder: Path, terms: Terms) -> None:
        self._folder, self._most, self._media = folder, terms.shard_bytes, terms.media
        self._shard = 0
        self._number = 0
        self._bytes = 0
        self._tar = self._next()

    def add(self, record: Record) -> None:
        """Write one. Raises Invalid (`record_too_large`)."""
        check_size(record, _MOST, "webdataset")
        if self._bytes and self._bytes + len(record.data) + len(record.annotations) > self._most:
            self._tar.close()
            self._tar, self._bytes = self._next(), 0
        self._file(self._suffix(record), record.data)
        if record.label is not None:
            self._file("cls", str(record.label).encode())
        self._file("json", json.dumps(_described(record), ensure_ascii=False).encode())
        self._number += 1

    def _suffix(self, record: Record) -> str:
        if record.row is not None:
            return "txt"
        suffix = PurePosixPath(record.path).suffix.lower().lstrip(".") or "bin"
        if suffix in _OURS or len(suffix.encode()) > _LONGEST_SUFFIX:
            return "txt" if self._media == "text" else "bin"
        return suffix

    def _file(self, suffix: str, data: bytes) -> None:
        info = tarfile.TarInfo(f"{self._number:08d}.{suffix}")  # no time and no owner: the same set, the same bytes
        info.size = len(data)
        self._tar.addfile(info, io.BytesIO(data))
        self._bytes += 2 * _BLOCK + len(data)

    def _next(self) -> tarfile.TarFile:
        path = self._folder / f"data-{self._shard:06d}.tar"
        self._shard += 1
        return tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)

    def close(self) -> None:
        """Close the last shard."""
        self._tar.close()


def _described(record: Record) -> dict[str, Any]:
    """What a sample's JSON says."""
    row = {"row": record.row} if record.row is not None else {}
    annotations = {"annotations": json.loads(record.annotations)} if record.annotations else {}
    return {"path": record.path, **row, "class": record.class_name, **annotations}


FORMAT = SetFormat("webdataset", WebDataset)
