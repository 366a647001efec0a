"""`--mount` as what the platform takes (row D11)."""

from __future__ import annotations

import pytest

from yard.cli.mounts import mounts_of
from yard.errors import YardError


@pytest.mark.row("D11")
def test_a_mount_is_typed_in_one_word() -> None:
    ids = {"lab": "src-1", "bucket": "src-2"}
    given = ["source=lab,path=photos/2026,at=photos,mode=rw", "source=bucket"]
    assert mounts_of(given, ids.__getitem__) == [
        {"source_id": "src-1", "at": "photos", "path": "photos/2026", "read_only": False},
        {"source_id": "src-2", "at": "bucket", "path": "", "read_only": True},
    ]
    assert mounts_of(None, ids.__getitem__) == []


@pytest.mark.row("D11")
@pytest.mark.parametrize("text", ["", "lab", "at=photos", "source=", "source=lab,mode=w", "source=lab,to=photos"])
def test_what_is_no_mount_is_refused(text: str) -> None:
    with pytest.raises(YardError) as refused:
        mounts_of([text], str)
    assert refused.value.code == "bad_option"
