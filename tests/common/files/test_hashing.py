"""The sum of a whole, computed from what is still in memory or else from the file: the same sum either way."""

import asyncio
import hashlib
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.files import LocalFiles
from common.files.blocks import BLOCK, Blocks
from common.files.hashing import Hashing
from common.kernel.errors import Invalid

PARTS = [bytes([number]) * (BLOCK + number) for number in range(1, 5)]
WHOLE = hashlib.sha256(b"".join(PARTS)).hexdigest()


def told(part):
    return hashlib.sha256(part).hexdigest(), len(part)


def filled(blocks, part):
    """The part in blocks that are counted as kept."""
    found, left = [], memoryview(part)
    while left:
        assert blocks.keep()
        found.append(blocks.take())
        left = found[-1].fill(left)
    return found


class Upload:
    """Parts that come one by one; `file` has none of their bytes unless it is written."""

    def __init__(self, tmp_path, most=64):
        self.blocks, self.file, self.there = Blocks(most), Path(tmp_path) / "whole", {}
        self.file.write_bytes(b"")
        self.hashing = Hashing(self.blocks, self.in_order)

    def in_order(self, upload, after):
        there = itertools.takewhile(self.there.__contains__, itertools.count(after + 1))
        return self.file, [told(self.there[number]) for number in there]

    def come(self, number, kept):
        part = self.there[number] = PARTS[number - 1]
        self.hashing.keep("up", number, told(part)[0], filled(self.blocks, part) if kept else None)
        self.hashing.ahead("up")

    def nothing_is_kept(self):
        room = [self.blocks.keep() for _ in range(64)]
        self.blocks.give_back([self.blocks.take() for _ in range(sum(room))])
        return all(room)


@given(order=st.permutations(range(1, 5)), kept=st.sets(st.integers(1, 4)))
def test_whatever_comes_first_and_is_kept_the_sum_is_the_same(order, kept, tmp_path_factory):
    upload = Upload(tmp_path_factory.mktemp("up"))
    upload.file.write_bytes(b"".join(PARTS))
    for number in order:
        upload.come(number, number in kept)
    assert upload.hashing.sum("up") == WHOLE
    assert upload.nothing_is_kept()


def test_what_is_kept_is_not_read_again(tmp_path):
    upload = Upload(tmp_path)
    for number in (2, 1, 4, 3):
        upload.come(number, kept=True)
    assert upload.hashing.sum("up") == WHOLE


def test_bytes_of_another_part_are_not_taken_for_it(tmp_path):
    upload = Upload(tmp_path)
    upload.file.write_bytes(b"".join(PARTS))
    upload.hashing.keep("up", 1, told(PARTS[1])[0], filled(upload.blocks, PARTS[1]))
    upload.there = dict(enumerate(PARTS, 1))
    assert upload.hashing.sum("up") == WHOLE


def test_what_was_hashed_from_the_disk_is_not_kept_in_memory(tmp_path):
    upload = Upload(tmp_path)
    upload.file.write_bytes(b"".join(PARTS))
    upload.there[1] = PARTS[0]
    upload.hashing.ahead("up")
    upload.hashing.keep("up", 1, told(PARTS[0])[0], filled(upload.blocks, PARTS[0]))
    assert upload.nothing_is_kept()


def test_what_waits_long_for_those_before_it_is_let_go(tmp_path, monkeypatch):
    upload = Upload(tmp_path)
    upload.come(2, kept=True)
    assert not upload.nothing_is_kept()
    upload.hashing.let_go_old()
    assert not upload.nothing_is_kept()
    monkeypatch.setattr("common.files.hashing.KEPT_SECONDS", -1.0)
    upload.hashing.let_go_old()
    assert upload.nothing_is_kept()


def test_a_read_that_fails_in_a_part_leaves_what_was_hashed_as_it_was(tmp_path):
    upload = Upload(tmp_path)
    upload.there = dict(enumerate(PARTS, 1))
    upload.file.write_bytes(PARTS[0] + PARTS[1][:-1])
    with pytest.raises(FileNotFoundError):
        upload.hashing.sum("up")
    upload.file.write_bytes(b"".join(PARTS))
    assert upload.hashing.sum("up") == WHOLE


def test_an_upload_that_is_over_keeps_nothing(tmp_path):
    upload = Upload(tmp_path)
    upload.come(3, kept=True)
    upload.hashing.forget("up")
    assert upload.nothing_is_kept()


async def test_an_upload_that_stays_behind_lets_its_memory_go(tmp_path, monkeypatch):
    monkeypatch.setattr("common.files.local.KEPT_SECONDS", 0.0)
    let_go, loop = asyncio.Event(), asyncio.get_running_loop()
    monkeypatch.setattr(Hashing, "let_go_old", lambda hashing: loop.call_soon_threadsafe(let_go.set))
    files = LocalFiles(tmp_path / "store", sync=False)
    upload = await files.begin_upload("up", part_bytes=BLOCK)
    await files.put_part(upload, 2, b"x" * BLOCK)
    async with asyncio.timeout(60):
        await let_go.wait()
    await files.close()


async def test_parts_that_fail_or_are_too_many_give_their_memory_back(tmp_path, monkeypatch):
    monkeypatch.setattr("common.files.local.BLOCKS_KEPT", 2)
    files = LocalFiles(tmp_path / "store", sync=False)
    upload = await files.begin_upload("up", part_bytes=4 * BLOCK)
    with pytest.raises(Invalid):
        await files.put_part(upload, 1, b"x" * 2 * BLOCK, sha256="0" * 64)
    parts = [b"1" * 4 * BLOCK, b"2" * 2 * BLOCK]
    for number in (2, 1):
        await files.put_part(upload, number, parts[number - 1])
    await files.complete_upload(upload, sha256=hashlib.sha256(b"".join(parts)).hexdigest())
    assert await files.read("up") == b"".join(parts)
    await files.close()
