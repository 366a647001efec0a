"""LMDB of Caffe's `Datum` messages, as Caffe's data layer reads it (caffe.proto): keys in the order of the records.

An image is kept as it came (`encoded`), a text as its bytes.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import lmdb

from common.disk import free_bytes
from dataset_svc.sets.messages import message
from dataset_svc.sets.port import Record, SetFormat, Terms, check_size

_FIRST_MAP = 64 << 20
_BATCH = 1000
_KEY_BYTES = 511
_MOST = (1 << 31) - 1024

DATUM = message("caffe", "Datum", data=("bytes", 4), label=("int32", 5), encoded=("bool", 7))


class Datums:
    """One environment, whose `data.mdb` grows as it is needed. A label that there is none of is -1."""

    def __init__(self, folder: Path, terms: Terms) -> None:
        self._folder = folder
        with _disk_errors(folder, _FIRST_MAP):
            self._environment = lmdb.open(str(folder), map_size=_FIRST_MAP, lock=False, sync=False)
        self._media = terms.media
        self._waiting: list[tuple[bytes, bytes]] = []
        self._bytes = 0
        self._number = 0

    def add(self, record: Record) -> None:
        """Write one. Raises Invalid (`record_too_large`), OSError."""
        check_size(record, _MOST, "lmdb")
        label = -1 if record.label is None else record.label
        datum = DATUM(data=record.data, label=label, encoded=self._media == "image")
        self._waiting.append((key(self._number, record.path), datum.SerializeToString()))
        self._bytes += len(record.data)
        self._number += 1
        if len(self._waiting) >= _BATCH or self._bytes >= _FIRST_MAP:
            with self._telling():
                self._write()

    def _telling(self) -> AbstractContextManager[None]:
        return _disk_errors(self._folder, 2 * self._bytes + _FIRST_MAP)

    def _write(self) -> None:
        """What waits, in one transaction; in a larger map where it does not fit."""
        while True:
            try:
                with self._environment.begin(write=True) as transaction:
                    for at, value in self._waiting:
                        transaction.put(at, value, append=True)
                break
            except lmdb.MapFullError:
                self._environment.set_mapsize(2 * self._environment.info()["map_size"] + 2 * self._bytes)
        self._waiting, self._bytes = [], 0

    def close(self) -> None:
        """Write what is left and close the environment. Raises OSError."""
        try:
            with self._telling():
                self._write()
                self._environment.sync(True)
        finally:
            self._environment.close()


@contextmanager
def _disk_errors(folder: Path, needed: int) -> Iterator[None]:
    """Turn LMDB's own errors into OSError: a write needs about so many bytes of the folder's disk.

    Where a disk takes only a part of a write, as it does when nearly full, LMDB says EIO (mdb.c, "short write,
    filesystem full?"), as it does of a disk that is broken.
    """
    try:
        yield
    except lmdb.Error as error:
        full = isinstance(error, lmdb.DiskError) or (error.code == errno.EIO and free_bytes(folder) < needed)
        raise OSError(errno.ENOSPC if full else error.code, f"LMDB could not write all of it ({error})") from error


def key(number: int, path: str) -> bytes:
    """Caffe's own form of key, cut to what LMDB takes."""
    return f"{number:08d}_{path}".encode()[:_KEY_BYTES]


FORMAT = SetFormat("lmdb", Datums)
