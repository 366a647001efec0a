"""Parquet in the columns that Hugging Face's `datasets` reads as images or texts.

Images: `image` {`bytes`, `path`} and `label`; texts: `text`, `path` and `label`; and where anything is annotated in
files, `annotations` has it as JSON. Metadata `classes` has the classes' names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from common.kernel.errors import Invalid
from dataset_svc.sets.port import Record, SetFormat, Terms, check_size

_GROUP_ROWS = 1000
_GROUP_BYTES = 64 << 20
_MOST = (1 << 31) - (1 << 20)

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_COLUMNS = {
    "image": pa.schema([("image", _IMAGE), ("label", pa.int64())]),
    "text": pa.schema([("text", pa.string()), ("path", pa.string()), ("label", pa.int64())]),
}


class Parquet:
    """Shards `data-00000.parquet` and so on, in row groups that a reader takes at once."""

    def __init__(self, folder: Path, terms: Terms) -> None:
        classes = json.dumps(list(terms.classes), ensure_ascii=False)
        columns = _COLUMNS[terms.media]
        if terms.annotated:
            columns = columns.append(pa.field("annotations", pa.string()))
        self._schema = columns.with_metadata({"classes": classes})
        self._annotated = terms.annotated
        self._folder, self._most, self._media = folder, terms.shard_bytes, terms.media
        self._rows: list[dict[str, Any]] = []
        self._bytes = 0
        self._written = 0
        self._shard = 0
        self._writer = self._next()

    def add(self, record: Record) -> None:
        """Write one. Raises Invalid (`record_too_large`, `bad_text` where a text is not UTF-8)."""
        check_size(record, _MOST, "parquet")
        self._rows.append(self._row(record))
        self._bytes += len(record.data)
        if len(self._rows) >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._group()

    def _row(self, record: Record) -> dict[str, Any]:
        about = {"label": record.label} | (
            {"annotations": record.annotations.decode() or None} if self._annotated else {}
        )
        if self._media == "image":
            return {"image": {"bytes": record.data, "path": record.path}, **about}
        try:
            return {"text": record.data.decode(), "path": record.path, **about}
        except UnicodeDecodeError as error:
            reason = f"{record.path} is not UTF-8 at byte {error.start}: Parquet holds texts only. Choose raw instead."
            raise Invalid("bad_text", reason) from error

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


FORMAT = SetFormat("parquet", Parquet)
