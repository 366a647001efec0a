"""Every format is read back by somebody else, whatever the records are."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.kernel.errors import Invalid
from dataset_svc.sets import NAMES, RAW, Record, Terms, set_format
from dataset_svc.sets.recordio import MAGIC, parts
from tests.dataset_svc.sets.readers import read

ENCODED = [name for name in NAMES if name != RAW]
MAGIC_BYTES = struct.pack("<I", MAGIC)
CLASSES = ("狗", "cat")

names = st.text("abc 猫-_", min_size=1, max_size=12).map(lambda name: f"cat/{name.strip() or 'x'}")
contents = st.lists(st.sampled_from([MAGIC_BYTES, b"\0", b"abc", b"\xff" * 5, b""]), max_size=6).map(b"".join)
images = st.lists(st.tuples(names, st.sampled_from([0, 1, None]), contents), max_size=12)


def written(format: str, folder: Path, media: str, records: list[Record], shard_bytes: int = 1 << 20) -> None:
    encoder = set_format(format).open(folder, Terms(media, CLASSES, shard_bytes))
    for record in records:
        encoder.add(record)
    encoder.close()


def record(path: str, label: int | None, data: bytes) -> Record:
    return Record(path, CLASSES[label] if label is not None else None, label, data)


@pytest.mark.row("D9")
@pytest.mark.parametrize("format", ENCODED)
@given(wanted=images, shard_bytes=st.sampled_from([1, 64, 1 << 20]))
@settings(max_examples=15, deadline=None)
def test_images_are_read_back(format: str, wanted: list[tuple[str, int | None, bytes]], shard_bytes: int) -> None:
    wanted = [(f"{path}{number}.png", label, data) for number, (path, label, data) in enumerate(wanted)]
    with tempfile.TemporaryDirectory() as folder:
        written(format, Path(folder), "image", [record(*one) for one in wanted], shard_bytes)
        assert read(format, Path(folder), "image") == wanted


@pytest.mark.row("D9")
@pytest.mark.parametrize("format", ENCODED)
def test_texts_are_read_back(format: str, tmp_path: Path) -> None:
    wanted = [("cat/1.txt", 1, "猫说喵".encode()), ("狗/2.txt", 0, b""), ("无", None, b"a\nb")]
    if format == "webdataset":
        wanted[2] = ("无.txt", None, b"a\nb")
    written(format, tmp_path, "text", [record(*one) for one in wanted])
    assert read(format, tmp_path, "text") == wanted


@pytest.mark.parametrize("format", ["tfrecord", "webdataset", "parquet"])
def test_a_large_set_is_cut_into_shards(format: str, tmp_path: Path) -> None:
    wanted = [(f"cat/{number:04}.png", 1, bytes(1000)) for number in range(2500)]
    written(format, tmp_path, "image", [record(*one) for one in wanted], shard_bytes=1_000_000)
    assert len(list(tmp_path.iterdir())) >= 2
    assert read(format, tmp_path, "image") == wanted


def test_lmdb_grows_beyond_its_first_map(tmp_path: Path) -> None:
    wanted = [(f"cat/{number}.png", 0, bytes([number]) * (30 << 20)) for number in range(5)]
    written("lmdb", tmp_path, "image", [record(*one) for one in wanted])
    assert read("lmdb", tmp_path, "image") == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["data.mdb"]


@given(contents)
def test_no_part_of_a_recordio_record_has_the_magic_number_where_readers_look(data: bytes) -> None:
    cut = list(parts(data))
    assert MAGIC_BYTES.join(part for _, part in cut) == data
    for _, part in cut:
        assert all(part[at : at + 4] != MAGIC_BYTES for at in range(0, len(part) - 3, 4))
    assert all(len(part) % 4 == 0 for _, part in cut[:-1])


def test_parquet_names_its_classes(tmp_path: Path) -> None:
    written("parquet", tmp_path, "text", [record("cat/1.txt", 1, b"x")])
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT value FROM parquet_kv_metadata(?) WHERE key = 'classes'", [str(tmp_path / "data-00000.parquet")]
        )
        [(named,)] = found.fetchall()
    assert json.loads(bytes(named)) == list(CLASSES)


def test_parquet_holds_texts_only(tmp_path: Path) -> None:
    encoder = set_format("parquet").open(tmp_path, Terms("text", CLASSES, 1 << 20))
    with pytest.raises(Invalid, match=r"cat/1\.txt is not UTF-8 at byte 2"):
        encoder.add(record("cat/1.txt", 1, b"ab\xff"))
    encoder.close()
