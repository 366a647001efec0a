"""Parquet in the columns that Hugging Face's `datasets` reads as images or texts.

Images: `image` {`bytes`, `path`} and `label`, and other media as images; texts: `text` (in UTF-8, as all strings of
Parquet, whatever the file is in), `path` and `label`, and `row` where a file has many. Where anything is annotated in
files, `annotations` has it as JSON. Metadata `classes` has the classes' names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_svc.sets.port import Record, SetFormat, Terms, check_size, text_of

_GROUP_ROWS = 1000
_GROUP_BYTES = 64 << 20
_MOST = (1 << 31) - (1 << 20)

_FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


class Parquet:
    """Shards `data-00000.parquet` and so on, in row groups that a reader takes at once."""

    def __init__(self, folder: Path, terms: Terms) -> None:
        self._schema = _schema(terms)
        self._annotated, self._numbered = terms.annotated, terms.rows
        self._folder, self._most, self._media = folder, terms.shard_bytes, terms.media
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._written = 0
        self._shard = 0
        self._writer = self._next()

    def add(self, record: Record) -> None:
        """Write one. Raises Invalid (`record_too_large`, `bad_text`)."""
        check_size(record, _MOST, "parquet")
        self._rows.append(self._row(record))
        self._bytes += len(record.data) + len(record.annotations)
        if len(self._rows) >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._group()

    def _row(self, record: Record) -> dict[str, Any]:
        about: dict[str, Any] = {"label": record.label}
        if self._annotated:
            about["annotations"] = record.annotations.decode() or None
        if self._numbered:
            about["row"] = record.row
        if self._media != "text":
            return {self._media: {"bytes": record.data, "path": record.path}, **about}
        return {"text": text_of(record, "parquet"), "path": record.path, **about}

    def _group(self) -> None:
        if self._written and self._written + self._bytes > self._most:
            self._writer.close()
            self._writer, self._written = self._next(), 0
        self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._written += self._bytes
        self._rows, self._bytes = [], 0

    def _next(self) -> Any:
        path = self._folder / f"data-{self._shard:05d}.parquet"
        self._shard += 1
        return pq.ParquetWriter(path, self._schema, compression="zstd")

    def close(self) -> None:
        """Write what is left and close the last shard."""
        if self._rows:
            self._group()
        self._writer.close()


def _schema(terms: Terms) -> pa.Schema:
    """The columns, in the order in which a person reads them."""
    media = [("text", pa.string()), ("path", pa.string())] if terms.media == "text" else [(terms.media, _FILE)]
    rows = [("row", pa.int64())] if terms.rows else []
    annotations = [("annotations", pa.string())] if terms.annotated else []
    classes = json.dumps(list(terms.classes), ensure_ascii=False)
    return pa.schema([*media, *rows, ("label", pa.int64()), *annotations]).with_metadata({"classes": classes})


FORMAT = SetFormat("parquet", Parquet)
