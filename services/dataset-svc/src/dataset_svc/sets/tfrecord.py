"""TFRecord shards of `tf.train.Example` (TensorFlow `record_writer.cc`, `example.proto`).

Images have the features of TensorFlow's own data sets (`image/encoded`, `image/filename`, `image/class/label`,
`image/class/text`), texts `text`, `filename`, `label` and `class`; what is annotated in them is JSON in `annotations`.
"""

from __future__ import annotations

import struct
from pathlib import Path

import google_crc32c

from dataset_svc.sets.messages import message
from dataset_svc.sets.port import Record, SetFormat, Terms, check_size
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

_NAMES = {
    "image": ("image/encoded", "image/filename", "image/class/label", "image/class/text"),
    "text": ("text", "filename", "label", "class"),
}


class TFRecord:
    """Shards `data-00000.tfrecord` and so on."""

    def __init__(self, folder: Path, terms: Terms) -> None:
        self._shards = Shards(folder, "data-{:05d}.tfrecord", terms.shard_bytes)
        self._names = _NAMES[terms.media]

    def add(self, record: Record) -> None:
        """Write one. Raises Invalid (`record_too_large`)."""
        check_size(record, _MOST, "tfrecord")
        data = self._example(record)
        length = _LENGTH.pack(len(data))
        self._shards.write(length + masked(length) + data + masked(data))

    def _example(self, record: Record) -> bytes:
        content, path, label, name = self._names
        features = FEATURES()
        given = [(content, record.data), (path, record.path.encode())]
        given += [("annotations", record.annotations)] if record.annotations else []
        for key, value in given:
            features.feature.add(key=key.encode(), value=FEATURE(bytes_list=BYTES_LIST(value=[value])))
        if record.label is not None and record.class_name is not None:
            features.feature.add(key=label.encode(), value=FEATURE(int64_list=INT64_LIST(value=[record.label])))
            named = FEATURE(bytes_list=BYTES_LIST(value=[record.class_name.encode()]))
            features.feature.add(key=name.encode(), value=named)
        written: bytes = EXAMPLE(features=features).SerializeToString()
        return written

    def close(self) -> None:
        """Close the last shard."""
        self._shards.close()


def masked(data: bytes) -> bytes:
    """The checksum as TFRecord has it: CRC-32C, turned and moved, so that a checksum of checksums is not weak."""
    crc = google_crc32c.value(data)
    return _CHECK.pack((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


FORMAT = SetFormat("tfrecord", TFRecord)
