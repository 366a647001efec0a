"""Properties of the arithmetic and of reading inputs."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn import metrics
from yardkit.arrays import logistic, softmax
from yardkit.data import Unreadable
from yardkit.evaluation import evaluate
from yardkit.images import read_image
from yardkit.text import decode, ngrams, normalise


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Probabilities of a few samples and classes, and the true classes."""
    classes = draw(st.integers(2, 5))
    samples = draw(st.integers(1, 12))
    row = st.lists(st.floats(-30, 30), min_size=classes, max_size=classes)
    scores = draw(st.lists(row, min_size=samples, max_size=samples))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=samples, max_size=samples))
    return softmax(np.array(scores)), np.array(labels), [f"c{n}" for n in range(classes)]


@given(judged())
def test_evaluations_equal_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray, list[str]]) -> None:
    rows, labels, classes = case
    got, numbers, guessed = evaluate(rows, labels, classes, "test"), range(len(classes)), rows.argmax(axis=1)
    assert got["accuracy"] == pytest.approx(metrics.accuracy_score(labels, guessed))
    assert got["loss"] == pytest.approx(metrics.log_loss(labels, rows, labels=numbers), rel=1e-6, abs=1e-9)
    assert got["confusion_matrix"] == metrics.confusion_matrix(labels, guessed, labels=numbers).tolist()
    wanted = metrics.precision_recall_fscore_support(labels, guessed, labels=numbers, zero_division=0)
    for name, row in zip(classes, zip(*wanted, strict=True), strict=True):
        assert list(got["per_class"][name].values()) == pytest.approx([float(value) for value in row])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_logistic_is_the_softmax_of_two(scores: list[float]) -> None:
    values = np.array(scores)
    two = softmax(np.stack([np.zeros_like(values), values], axis=1))
    np.testing.assert_allclose(logistic(values), two[:, 1], atol=1e-12)


@given(st.text(max_size=40), st.integers(1, 3), st.integers(0, 2))
def test_ngrams_are_the_runs_of_characters(text: str, shortest: int, more: int) -> None:
    plain, longest = normalise(text), shortest + more
    runs = [plain[i:j] for i in range(len(plain)) for j in range(i + shortest, min(i + longest, len(plain)) + 1)]
    wanted = sorted(run for run in runs if run != " ")
    assert sorted(ngrams(text, shortest, longest).elements()) == wanted


@given(st.text(alphabet="足球比赛银行利率上涨，今天。abc", min_size=2))
def test_texts_read_the_same_in_every_encoding(text: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        assert decode(text.encode(encoding)) == text


def test_gbk_is_read_and_binary_is_not() -> None:
    assert decode("足球比赛".encode("gbk")) == "足球比赛"
    for data in (b"a\0b", b"\xff\xfe\x00", b"\x81"):
        with pytest.raises(Unreadable):
            decode(data)


def _saved(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def test_images_of_every_kind_become_the_same_grey() -> None:
    grey = 200
    kinds = {
        "gray": Image.new("L", (9, 5), grey),
        "colour": Image.new("RGB", (5, 9), (grey, grey, grey)),
        "sixteen bits": Image.fromarray(np.full((8, 8), grey << 8, dtype=np.uint16)),
        "palette": Image.new("RGB", (8, 8), (grey, grey, grey)).quantize(2),
        "grey with alpha": Image.new("LA", (8, 8), (grey, 255)),
    }
    for name, image in kinds.items():
        got = read_image(_saved(image), 8, "gray")
        assert got.shape == (8, 8)
        assert np.abs(got.astype(int) - grey).max() <= 8, name
    assert read_image(_saved(Image.new("RGB", (64, 64), (grey, 0, 0)), "JPEG"), 8, "rgb").shape == (8, 8, 3)


def test_what_is_transparent_is_white() -> None:
    assert read_image(_saved(Image.new("RGBA", (8, 8), (0, 0, 0, 0))), 8, "gray").min() == 255


def test_an_image_of_too_many_pixels_is_not_unpacked() -> None:
    with pytest.raises(Unreadable, match="pixels"):
        read_image(_saved(Image.new("1", (7000, 7000))), 8, "gray")
