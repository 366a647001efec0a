"""Every format is read back by somebody else, whatever the records are."""

from __future__ import annotations

import errno
import json
import struct
import tarfile
import tempfile
from pathlib import Path

import duckdb
import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.disk import telling_when_full
from common.kernel.errors import Invalid, StorageFull
from dataset_svc.sets import NAMES, RAW, Record, Terms, parquet, set_format
from dataset_svc.sets import lmdb as lmdb_format
from dataset_svc.sets.recordio import MAGIC, parts
from tests.common.conftest import SmallDisk
from tests.dataset_svc.sets.readers import read, rows

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
@settings(max_examples=15)
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


@pytest.mark.parametrize("format", ["parquet", "tfrecord"])
def test_columns_of_text_hold_texts_only(format: str, tmp_path: Path) -> None:
    encoder = set_format(format).open(tmp_path, Terms("text", CLASSES, 1 << 20))
    with pytest.raises(Invalid, match=r"cat/1\.txt, line 2 is no text, .*neither UTF-8 nor GB18030") as refused:
        encoder.add(record("cat/1.txt", 1, b"a\nb\xff"))
    assert refused.value.code == "bad_text"
    encoder.close()


@pytest.mark.row("D9")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("format", ["webdataset", "tfrecord", "parquet"])
def test_columns_of_text_are_utf8_and_files_what_they_were(format: str, encoding: str, tmp_path: Path) -> None:
    text = "猫说喵，㐀。"
    written(format, tmp_path, "text", [record("cat/1.txt", 1, text.encode(encoding))])
    held = text.encode(encoding if format == "webdataset" else "utf-8")
    assert read(format, tmp_path, "text") == [("cat/1.txt", 1, held)]


@pytest.mark.row("D9")
@pytest.mark.parametrize("text", ["\ufeff北京好", "a\0b"])
@pytest.mark.parametrize("format", ["webdataset", "tfrecord", "parquet"])
def test_a_row_keeps_each_character_so_that_offsets_hold(format: str, text: str, tmp_path: Path) -> None:
    encoder = set_format(format).open(tmp_path, Terms("text", CLASSES, 1 << 20, rows=True))
    encoder.add(Record("all.jsonl", "cat", 1, text.encode(), row=7))
    encoder.close()
    assert rows(format, tmp_path) == [("all.jsonl", 7, 1, text)]


@pytest.mark.parametrize(("media", "kept"), [("text", "txt"), ("audio", "bin")])
@pytest.mark.parametrize("suffix", ["json", "cls", "JSON"])
def test_a_file_named_like_what_is_said_of_it_keeps_its_bytes(
    suffix: str, media: str, kept: str, tmp_path: Path
) -> None:
    written("webdataset", tmp_path, media, [record(f"cat/1.{suffix}", 1, b"{}")])
    with tarfile.open(tmp_path / "data-000000.tar") as archive:
        assert archive.getnames() == [f"00000000.{kept}", "00000000.cls", "00000000.json"]


@pytest.mark.parametrize("format", ["webdataset", "parquet"])
def test_what_is_annotated_counts_as_bytes_of_a_shard(
    format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_GROUP_BYTES", 1000)
    encoder = set_format(format).open(tmp_path, Terms("text", CLASSES, 15_000, annotated=True, rows=True))
    about = json.dumps({"entities": ["x" * 10_000]}).encode()
    for number in range(5):
        encoder.add(Record("all.jsonl", None, None, b"x", about, row=number))
    encoder.close()
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize("format", ENCODED)
def test_of_media_that_an_administrator_added_there_are_records_too(format: str, tmp_path: Path) -> None:
    wanted = [("cat/1.wav", 1, b"RIFF"), ("狗/2.wav", 0, b"\xff\0")]
    written(format, tmp_path, "audio", [record(*one) for one in wanted])
    if format != "parquet":
        assert read(format, tmp_path, "audio") == wanted
    else:
        with duckdb.connect() as connection:
            shards = f"read_parquet('{tmp_path}/*.parquet')"
            found = connection.execute(f"SELECT audio.path, label, audio.bytes FROM {shards}").fetchall()
        assert found == wanted


def test_a_name_that_has_a_dot_early_and_no_ending_is_one_of_a_file(tmp_path: Path) -> None:
    name = "a/No. " + "图" * 40
    written("webdataset", tmp_path, "image", [record(name, 0, b"x")])
    with tarfile.open(tmp_path / "data-000000.tar") as archive:
        assert archive.getnames() == ["00000000.bin", "00000000.cls", "00000000.json"]
        about = archive.extractfile("00000000.json")
        assert about is not None
        assert json.load(about)["path"] == name


def test_a_disk_that_is_broken_under_lmdb_is_not_told_as_full(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="could not write") as failed, lmdb_format._disk_errors(tmp_path, 1000):
        raise lmdb.DiskError("mdb_txn_commit")
    assert failed.value.errno == errno.ENOSPC
    broken = lmdb.Error("mdb_txn_commit")
    vars(broken)["code"] = errno.EIO  # as the binding sets it
    for needed, code in ((1000, errno.EIO), (1 << 60, errno.ENOSPC)):
        with pytest.raises(OSError, match="could not write") as failed, lmdb_format._disk_errors(tmp_path, needed):
            raise broken
        assert failed.value.errno == code


def test_a_disk_that_fills_up_under_lmdb_is_told_as_such(small_disk: SmallDisk) -> None:
    """LMDB's own errors are none of the system's: nobody who waits for a full disk would know them."""
    folder = small_disk(1 << 20)
    with pytest.raises(StorageFull, match="no room for the set"), telling_when_full("the set"):
        written("lmdb", folder, "image", [record(f"{number}.png", 0, bytes(100_000)) for number in range(50)])
