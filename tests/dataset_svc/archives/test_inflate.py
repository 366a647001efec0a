"""Inflating by pieces of any length: the library must neither keep bytes back nor miss a cut."""

from __future__ import annotations

import gzip
import tempfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_svc.archives.port import ArchiveRefused
from dataset_svc.archives.tar import sources
from dataset_svc.archives.zip import methods

CONTENT = st.binary(max_size=200) | st.builds(lambda n: (b"the cat sat " * 200)[:n], st.integers(0, 2_000))
PIECES = st.sampled_from((1, 2, 7, 8, 64, 512))


@pytest.mark.row("D2")
@settings(max_examples=60)
@given(content=CONTENT, piece=PIECES, level=st.integers(0, 9), more=st.binary(min_size=1, max_size=9))
def test_a_member_is_what_was_packed_and_a_cut_is_seen(content: bytes, piece: int, level: int, more: bytes) -> None:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(content) + packer.flush()
    assert _unpacked(packed, len(content), piece) == content
    for wrong in (packed[:-1], packed + more):
        with pytest.raises(methods.Error):
            _unpacked(wrong, len(content), piece)


@pytest.mark.row("D2")
@settings(max_examples=60)
@given(content=CONTENT, piece=PIECES, level=st.integers(0, 9), times=st.integers(1, 3), zeros=st.integers(0, 9))
def test_a_gzip_is_what_was_packed(content: bytes, piece: int, level: int, times: int, zeros: int) -> None:
    packed = gzip.compress(content, level) * times
    assert _gunzipped(packed + bytes(zeros), piece) == content * times
    for cut in (1, 4, 8):
        with pytest.raises(ArchiveRefused):
            _gunzipped(packed[:-cut], piece)


def _unpacked(packed: bytes, size: int, piece: int) -> bytes:
    pieces = (packed[at : at + piece] for at in range(0, len(packed), piece))
    return b"".join(methods.unpack(methods.DEFLATED, pieces, size, piece))


def _gunzipped(packed: bytes, piece: int) -> bytes:
    with tempfile.TemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "_PIECE", piece)
        file.write(packed)
        file.flush()
        return b"".join(sources.gunzipped(file.fileno(), lambda _: None))
