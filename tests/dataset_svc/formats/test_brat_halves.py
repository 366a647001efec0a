"""A half of a brat document that is refused is told of once, and its document not told as lacking it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dataset_svc.formats import ContentLimits, get_format
from tests.dataset_svc.formats.sinks import Heard

ANN = b"T1\tAnimal 0 3\tcat\n"
LARGE = b"x" * 100
GOOD = {"good.txt": b"cat", "good.ann": ANN}


def told(files: Mapping[str, bytes], **limits: int) -> list[tuple[str, str]]:
    """The errors of a whole archive, whose files come in pieces."""
    heard = Heard()
    checker = get_format("brat_ann").checker("text/entity", heard, ContentLimits(**limits))
    for path, data in files.items():
        assert b"".join(checker.stream(path, len(data), iter([data[:2], data[2:]]))) == data
    checker.finish()
    return heard.errors


@pytest.mark.row("D2")
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("large", "files"),
    [("a.txt", {"a.txt": LARGE, "a.ann": ANN}), ("deep/a.ANN", {"deep/a.TXT": b"cat", "deep/a.ANN": LARGE})],
)
def test_a_half_that_is_too_large_is_not_told_as_missing(large: str, files: dict[str, bytes], reverse: bool) -> None:
    order = list(files.items())[:: -1 if reverse else 1]
    assert told({**dict(order), **GOOD}, whole_bytes=50) == [("text_too_large", large)]


@pytest.mark.row("D2")
def test_a_half_for_which_there_is_no_room_is_not_told_as_missing() -> None:
    texts = {f"{name}.txt": b"cat" * 3 for name in "abc"}
    notes = {f"{name}.ann": ANN for name in "abc"}
    assert told({**texts, **notes}, waiting_bytes=20) == [("too_scattered", "c.txt")]


def test_what_waits_for_a_half_that_is_refused_leaves_its_room_to_others() -> None:
    files = {"a.ann": ANN, "a.txt": LARGE, "b.ann": ANN, "b.txt": b"cat"}
    assert told(files, whole_bytes=50, waiting_bytes=len(ANN)) == [("text_too_large", "a.txt")]


def test_of_a_document_that_was_refused_nobody_knows_that_nothing_is_marked_in_it() -> None:
    assert told({"a.txt": LARGE, "a.ann": ANN}, whole_bytes=50) == [("text_too_large", "a.txt")]
    assert told({"a.txt": b"cat", "a.ann": b""}, whole_bytes=50) == [("no_entities", "")]


def test_what_is_missing_beside_is_told_all_the_same() -> None:
    files = {"a.txt": LARGE, "a.ann": ANN, "b.txt": b"cat", "c.ann": ANN, **GOOD}
    assert told(files, whole_bytes=50) == [
        ("text_too_large", "a.txt"),
        ("missing_annotation", "b.txt"),
        ("missing_text", "c.ann"),
    ]
