"""TFRecord shards of `tf.train.Example` (TensorFlow `record_writer.cc`, `example.proto`).

Images have the features of TensorFlow's own data sets (`image/encoded`, `image/filename`, `image/class/label`,
`image/class/text`), other media the same by their name, texts `text` (in UTF-8, whatever the file is in), `filename`,
`label` and `class`, and `row` where a file has many; what is annotated in them is JSON in `annotations`.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import google_crc32c

from dataset_svc.sets.messages import message
from dataset_svc.sets.port import Record, SetFormat, Terms, check_size, text_of
from dataset_svc.sets.shards import Shards

_MOST = (1 << 31) - (1 << 20)
_LENGTH, _CHECK = struct.Struct("<Q"), struct.Struct("<I")

BYTES_LIST = message("tensorflow", "BytesList", value=("*bytes", 1))
INT64_LIST = message("tensorflow", "Int64List", value=("*int64", 1))
FEATURE = message("tensorflow", "Feature", bytes_list=("BytesList", 1), int64_list=("Int64List", 3))
# a map on the wire is a repeated message of key and value
NAMED = message("tensorflow", "NamedFeature", key=("bytes", 1), value=("Feature", 2))
FEATURES = message("tensorflow", "Features", feature=("*NamedFeature", 1))
EXAMPLE = message("tensorflow", "Example", features=("Features", 1))

_OF_TEXTS = ("text", "filename", "label", "class")
_OF_MEDIA = ("{}/encoded", "{}/filename", "{}/class/label", "{}/class/text")


class TFRecord:
    """Shards `data-00000.tfrecord` and so on."""

    def __init__(self, folder: Path, terms: Terms) -> None:
        self._shards = Shards(folder, "data-{:05d}.tfrecord", terms.shard_bytes)
        self._is_text = terms.media == "text"
        self._names = _OF_TEXTS if self._is_text else tuple(name.format(terms.media) for name in _OF_MEDIA)

    def add(self, record: Record) -> None:
        """Write one. Raises Invalid (`record_too_large`, `bad_text`)."""
        check_size(record, _MOST, "tfrecord")
        data = self._example(record)
        length = _LENGTH.pack(len(data))
        self._shards.write(length + masked(length) + data + masked(data))

    def _example(self, record: Record) -> bytes:
        content, path, label, name = self._names
        data = text_of(record, "tfrecord").encode() if self._is_text else record.data
        given: list[tuple[str, bytes | int]] = [(content, data), (path, record.path.encode())]
        given += [("row", record.row)] if record.row is not None else []
        given += [("annotations", record.annotations)] if record.annotations else []
        if record.label is not None and record.class_name is not None:
            given += [(label, record.label), (name, record.class_name.encode())]
        features = FEATURES()
        for key, value in given:
            features.feature.add(key=key.encode(), value=_feature(value))
        written: bytes = EXAMPLE(features=features).SerializeToString()
        return written

    def close(self) -> None:
        """Close the last shard."""
        self._shards.close()


def _feature(value: bytes | int) -> Any:
    if isinstance(value, int):
        return FEATURE(int64_list=INT64_LIST(value=[value]))
    return FEATURE(bytes_list=BYTES_LIST(value=[value]))


def masked(data: bytes) -> bytes:
    """The checksum as TFRecord has it: CRC-32C, turned and moved, so that a checksum of checksums is not weak."""
    crc = google_crc32c.value(data)
    return _CHECK.pack((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


FORMAT = SetFormat("tfrecord", TFRecord)
