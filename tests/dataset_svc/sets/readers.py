"""Readers of formatted sets that share no code with what wrote them: other libraries, or the format's own words. Only
LMDB has no second library: its files are opened by the binding that wrote them, and what is in them is read here."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import lmdb
from webdataset import tariterators

Found = tuple[str, int | None, bytes]
"""Path, label and bytes of a record."""


def read(format: str, folder: Path, media: str) -> list[Found]:
    """Every record of a set, in its order."""
    reader = {
        "recordio": recordio,
        "lmdb": datums,
        "tfrecord": tfrecord,
        "webdataset": tars,
        "parquet": parquet,
    }[format]
    return list(reader(folder, media))


def recordio(folder: Path, _: str) -> Iterator[Found]:
    """As the comment in dmlc-core's `recordio.h` says, from each place that the index tells."""
    data = (folder / "data.rec").read_bytes()
    paths = {line.split("\t")[0]: line.split("\t")[2] for line in (folder / "data.lst").read_text().splitlines()}
    for line in (folder / "data.idx").read_text().splitlines():
        key, offset = line.split("\t")
        record = _record(data, int(offset))
        flag, label, number, _ = struct.unpack_from("<IfQQ", record)
        assert (flag, number) == (0, int(key))
        yield paths[key], None if label < 0 else int(label), record[24:]


def _record(data: bytes, at: int) -> bytes:
    pieces: list[bytes] = []
    while True:
        magic, word = struct.unpack_from("<II", data, at)
        assert magic == 0xCED7230A
        assert at % 4 == 0
        part, length = word >> 29, word & (1 << 29) - 1
        pieces.append(data[at + 8 : at + 8 + length])
        at += 8 + (length + 3) // 4 * 4
        if part in (0, 3):
            return struct.pack("<I", 0xCED7230A).join(pieces)


def datums(folder: Path, media: str) -> Iterator[Found]:
    """LMDB by its own library, Caffe's Datum by the wire."""
    with lmdb.open(str(folder), readonly=True, lock=False) as environment, environment.begin() as transaction:
        for key, value in transaction.cursor():
            fields = dict(wire(bytes(value)))
            label = fields[5] - (1 << 64) if fields[5] >> 63 else fields[5]
            assert bool(fields[7]) == (media == "image")
            yield bytes(key).decode().partition("_")[2], None if label < 0 else label, fields[4]


def tfrecord(folder: Path, media: str) -> Iterator[Found]:
    for found in _examples(folder):
        if media != "text":
            yield found[f"{media}/filename"].decode(), found.get(f"{media}/class/label"), found[f"{media}/encoded"]
        else:
            yield found["filename"].decode(), found.get("label"), found["text"]


def _examples(folder: Path) -> Iterator[dict[str, Any]]:
    """The features of each shard's records, with both checksums computed bit by bit."""
    for shard in sorted(folder.glob("*.tfrecord")):
        data, at = shard.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            record = data[at + 12 : at + 12 + length]
            assert struct.unpack_from("<I", data, at + 8) == (crc32c(data[at : at + 8]),)
            assert struct.unpack_from("<I", data, at + 12 + length) == (crc32c(record),)
            at += 16 + length
            yield dict(_feature(pair) for _, pair in wire(dict(wire(record))[1]))


def annotated(format: str, folder: Path) -> dict[str, Any]:
    """What is annotated in the records of a set, by path."""
    if format == "webdataset":
        told = [json.loads(sample["json"]) for sample in _samples(folder)]
        return {one["path"]: one.get("annotations") for one in told}
    if format == "tfrecord":
        found = [(one.get("image/filename") or one["filename"], one.get("annotations")) for one in _examples(folder)]
        return {path.decode(): json.loads(about) if about else None for path, about in found}
    with duckdb.connect() as connection:
        shards = f"read_parquet('{folder}/*.parquet')"
        names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {shards}").fetchall()]
        path = "image.path" if "image" in names else "path"
        rows = connection.execute(f"SELECT {path}, annotations FROM {shards}").fetchall()
    return {path: json.loads(about) if about else None for path, about in rows}


def rows(format: str, folder: Path) -> list[tuple[str, int, int | None, str]]:
    """Path, number, label and text of each record that is a row, in their order."""
    if format == "webdataset":
        told = [(json.loads(one["json"]), one) for one in _samples(folder)]
        return [
            (j["path"], j["row"], int(one["cls"]) if "cls" in one else None, one["txt"].decode()) for j, one in told
        ]
    if format == "tfrecord":
        found = _examples(folder)
        return [(one["filename"].decode(), one["row"], one.get("label"), one["text"].decode()) for one in found]
    with duckdb.connect() as connection:
        shards = f"read_parquet('{folder}/*.parquet')"
        return connection.execute(f"SELECT path, row, label, text FROM {shards}").fetchall()


def marked(format: str, folder: Path) -> list[Any]:
    """What is marked in each record that is a row, in their order."""
    if format == "webdataset":
        return [json.loads(one["json"])["annotations"] for one in _samples(folder)]
    if format == "tfrecord":
        return [json.loads(one["annotations"]) for one in _examples(folder)]
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT annotations FROM read_parquet('{folder}/*.parquet')").fetchall()
    return [json.loads(about) for (about,) in found]


def _feature(pair: bytes) -> tuple[str, Any]:
    fields = dict(wire(pair))
    [(kind, values)] = wire(fields[2])
    [(_, value)] = wire(values)
    assert kind == (1 if isinstance(value, bytes) else 3)
    return fields[1].decode(), value


def wire(data: bytes) -> Iterator[tuple[int, Any]]:
    """Field numbers and values of a protocol buffer message: varints and bytes."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            assert tag & 7 == 2
            length = varint()
            yield tag >> 3, data[at : at + length]
            at += length


def crc32c(data: bytes) -> int:
    """TFRecord's masked checksum, by the polynomial (RFC 3720)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def tars(folder: Path, media: str) -> Iterator[Found]:
    for sample in _samples(folder):
        described = json.loads(sample["json"])
        suffix = described["path"].rpartition(".")[2].lower()
        label = int(sample["cls"]) if "cls" in sample else None
        yield described["path"], label, sample[suffix]


def _samples(folder: Path) -> Iterator[dict[str, Any]]:
    """By the webdataset library itself, from files that are closed."""
    for shard in sorted(folder.glob("*.tar")):
        with shard.open("rb") as stream:
            members = tariterators.tar_file_expander([{"url": shard.name, "stream": stream}])
            yield from tariterators.group_by_keys(members)


def parquet(folder: Path, media: str) -> Iterator[Found]:
    """By DuckDB, which has a Parquet reader of its own."""
    columns = "image.path, label, image.bytes" if media == "image" else "path, label, encode(text)"
    with duckdb.connect() as connection:
        for shard in sorted(folder.glob("*.parquet")):
            found = connection.execute(f"SELECT {columns} FROM read_parquet(?)", [str(shard)])
            yield from ((path, label, bytes(data)) for path, label, data in found.fetchall())
