"""WebDataset: tar shards in which the files of one sample follow one another and share a key.

`00000012.png` is the sample, `00000012.cls` its label, and `00000012.json` its path, its class and what is annotated in
it.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path, PurePosixPath

from dataset_svc.sets.port import Record, SetFormat, Terms, check_size

_MOST = 8 << 30
_BLOCK = 512


class WebDataset:
    """Shards `data-000000.tar` and so on."""

    def __init__(self, folder: Path, terms: Terms) -> None:
        self._folder, self._most = folder, terms.shard_bytes
        self._shard = 0
        self._number = 0
        self._bytes = 0
        self._tar = self._next()

    def add(self, record: Record) -> None:
        """Write one. Raises Invalid (`record_too_large`)."""
        check_size(record, _MOST, "webdataset")
        if self._bytes and self._bytes + len(record.data) > self._most:
            self._tar.close()
            self._tar, self._bytes = self._next(), 0
        suffix = PurePosixPath(record.path).suffix.lower().lstrip(".") or "bin"
        self._file(suffix, record.data)
        if record.label is not None:
            self._file("cls", str(record.label).encode())
        described = {"path": record.path, "class": record.class_name}
        if record.annotations:
            described["annotations"] = json.loads(record.annotations)
        self._file("json", json.dumps(described, ensure_ascii=False).encode())
        self._number += 1

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


FORMAT = SetFormat("webdataset", WebDataset)
