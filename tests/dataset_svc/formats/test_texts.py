"""Texts are UTF-8 or GB18030, whole or streamed, and nothing else."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_svc.formats import ContentLimits
from dataset_svc.formats.texts import Reader, content
from tests.dataset_svc.formats.sinks import Heard


def check(data: bytes, step: int | None = None) -> tuple[list[str], list[str], dict[str, Any]]:
    heard = Heard()
    texts = content(heard, ContentLimits())
    if step is None:
        texts.whole("a/1", data)
    else:
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        assert b"".join(texts.stream("a/1", len(data), iter(pieces))) == data
    return [code for code, _ in heard.errors], [code for code, _ in heard.warnings], texts.summary()["texts"]


@pytest.mark.parametrize("step", [None, 1, 3])
@pytest.mark.parametrize(
    ("data", "errors", "encodings"),
    [
        (b"plain", [], {"utf-8": 1, "gb18030": 0}),
        ("\ufeff带标记".encode(), [], {"utf-8": 1, "gb18030": 0}),
        ("训练一个模型".encode("gb18030"), [], {"utf-8": 0, "gb18030": 1}),
        (b"abc\xff\xff", ["not_text"], {"utf-8": 0, "gb18030": 0}),
        (b"abc\xe4", ["not_text"], {"utf-8": 0, "gb18030": 0}),
        (b"abc\0def", ["binary_text"], {"utf-8": 0, "gb18030": 0}),
        ("text".encode("utf-16"), ["binary_text"], {"utf-8": 0, "gb18030": 0}),
    ],
)
def test_encodings(data: bytes, errors: list[str], encodings: dict[str, int], step: int | None) -> None:
    found, _, summary = check(data, step)
    assert found == errors
    assert summary["encodings"] == encodings


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    st.sampled_from(["utf-8", "gb18030"]),
    st.integers(1, 7),
)
def test_whole_and_streamed_agree(text: str, encoding: str, step: int) -> None:
    data = text.encode(encoding)
    assert check(data) == check(data, step)
    if encoding == "utf-8":
        length = check(data)[2]["length"]
        assert (length["min"], length["max"], length["mean"], length["median"]) == (len(text),) * 4


def test_an_empty_text_is_a_warning() -> None:
    assert check(b"")[:2] == ([], ["empty_text"])
    assert check(b"", 5)[:2] == ([], ["empty_text"])


MIXED = st.lists(st.sampled_from(["a", "bc", "\n", "é", "数", "据集", "😀"]), max_size=10).map("".join)


@given(
    text=MIXED, encoding=st.sampled_from(["utf-8", "gb18030"]), damage=st.none() | st.integers(0, 255), data=st.data()
)
def test_pieces_are_decoded_as_the_whole_is_wherever_they_are_cut(text, encoding, damage, data):
    raw = bytearray(text.encode(encoding))
    if raw and damage is not None:
        raw[data.draw(st.integers(0, len(raw) - 1))] = damage
    cuts = [0, *sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=5))), len(raw)]
    for name in ("utf-8", "gb18030"):
        reader = Reader(name)
        for start, end in pairwise(cuts):
            reader.feed(bytes(raw[start:end]))
        try:
            length = len(raw.decode(name))
        except UnicodeDecodeError:
            assert not reader.ends_well()
        else:
            assert reader.ends_well()
            assert reader.length == length
