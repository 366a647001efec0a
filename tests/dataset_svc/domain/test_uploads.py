"""How a file is cut into parts, and which parts are right."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.kernel.errors import Conflict, Invalid
from dataset_svc.domain.taxonomy import Part
from dataset_svc.domain.uploads import MOST_PARTS, Upload, UploadState, part_size_for, upload_faults

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def one(size: int, part_size: int) -> Upload:
    return Upload("up-1", "a.zip", "alice", "ds-1", Part.TRAIN, size, part_size, "k", NOW, NOW)


@pytest.mark.row("D2")
@given(size=st.integers(1, 10**7), part_size=st.integers(1, 10**6))
def test_the_parts_make_the_whole(size, part_size):
    upload = one(size, part_size)
    last = upload.part_count
    assert part_size * (last - 1) + upload.size_of(last) == size
    assert 1 <= upload.size_of(last) <= part_size
    assert last == 1 or upload.size_of(1) == part_size
    for number in (0, -1, last + 1):
        with pytest.raises(Invalid) as refused:
            upload.size_of(number)
        assert refused.value.code == "bad_part_number"


@given(size=st.integers(1, 2**50), usual=st.integers(1, 2**26), smallest=st.integers(1, 2**23))
def test_there_are_never_too_many_parts(size, usual, smallest):
    part_size = part_size_for(size, usual, smallest)
    assert part_size >= max(usual, smallest)
    assert -(-size // part_size) <= MOST_PARTS
    assert size > usual * MOST_PARTS or part_size == max(usual, smallest)


@pytest.mark.row("D2")
@given(lost=st.sets(st.integers(1, 5)), wrong=st.sets(st.integers(1, 5)))
def test_it_is_complete_when_every_part_is_there_with_its_size(lost, wrong):
    upload = one(45, 10)
    arrived = {n: upload.size_of(n) - (n in wrong) for n in range(1, 6) if n not in lost}
    if lost | wrong:
        with pytest.raises(Conflict) as refused:
            upload.check_complete(arrived)
        assert refused.value.code == "upload_incomplete"
        assert refused.value.extra["missing"] == sorted(lost | wrong)
    else:
        upload.check_complete(arrived)


@pytest.mark.parametrize("state", [UploadState.COMPLETED, UploadState.ABORTED])
def test_a_closed_upload_takes_nothing(state):
    closed = replace(one(45, 10), state=state)
    for attempt in (lambda: closed.size_of(1), lambda: closed.completed("imp-1"), closed.aborted):
        with pytest.raises(Conflict):
            attempt()


@pytest.mark.parametrize(
    ("filename", "size", "sha256", "wheres"),
    [
        ("猫.zip", 1, None, []),
        ("a.zip", 100, "A" * 64, []),
        ("", 0, "xyz", ["filename", "size", "sha256"]),
        ("a\n.zip", 101, "a" * 63, ["filename", "size", "sha256"]),
        ("a" * 256, -5, "", ["filename", "size", "sha256"]),
    ],
)
def test_what_is_wrong_with_an_upload(filename, size, sha256, wheres):
    assert [fault.where for fault in upload_faults(filename, size, sha256, 100)] == wheres
