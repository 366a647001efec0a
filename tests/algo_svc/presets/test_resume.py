"""Stopping anywhere and going on ends with the very same model, and serving computes what was trained."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from yardkit import data, parameters, workplace
from yardkit.images import read_image
from yardkit.process import Stop, Stopped
from yardkit.text import read_text

from algo_svc import presets


class StopAfter(Stop):
    """Asks to stop at the `looks`-th look."""

    def __init__(self, looks: int) -> None:
        self.left = looks
        super().__init__()

    @property
    def requested(self) -> bool:
        self.left -= 1
        return self.left < 0

    @requested.setter
    def requested(self, value: bool) -> None:
        assert not value


def _program(preset: str) -> ModuleType:
    """A preset's train.py as a module."""
    name = f"{preset}_train"
    spec = importlib.util.spec_from_file_location(name, presets.HERE / preset / "train.py")
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _training(preset: str, home: Path, dataset: data.Dataset[Any], *arguments: str) -> Any:
    program = _program(preset)
    settings = program.Settings(**parameters.read(presets.HERE / preset / "algorithm.json", arguments, {}))
    place = workplace.Workplace(home, home, home / "checkpoints", None, home / "metrics.jsonl")
    return program.Training(settings, place, dataset)


@pytest.fixture(scope="module")
def images(digits: Path) -> data.Dataset[Any]:
    return data.load(digits, lambda path: read_image(path, 16, "gray"), "image")


@pytest.fixture(scope="module")
def texts(news: Path) -> data.Dataset[str]:
    return data.load(news, read_text, "text")


@pytest.mark.row("T10")
@pytest.mark.parametrize("looks", [0, 1, 4, 5])
def test_images_go_on_in_the_middle_of_an_epoch(looks: int, images: Any, tmp_path: Path) -> None:
    whole = _training("image_classifier", tmp_path / "whole", images, "--epochs", "3")
    whole.run(Stop())
    with pytest.raises(Stopped):
        _training("image_classifier", tmp_path / "parts", images, "--epochs", "3").run(StopAfter(looks))
    again = _training("image_classifier", tmp_path / "parts", images, "--epochs", "3")
    again.run(Stop())
    _same(whole.learner.state(), again.learner.state())
    curves = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "parts")]
    assert curves[0] == curves[1]


@pytest.mark.row("T10")
@pytest.mark.parametrize("looks", [0, 1, 17])
def test_texts_go_on_after_any_step(looks: int, texts: Any, tmp_path: Path) -> None:
    arguments = ("--batch_size", "10", "--epochs", "2")
    whole = _training("text_bayes", tmp_path / "whole", texts, *arguments)
    whole.run(Stop())
    with pytest.raises(Stopped):
        _training("text_bayes", tmp_path / "parts", texts, *arguments).run(StopAfter(looks))
    again = _training("text_bayes", tmp_path / "parts", texts, *arguments)
    again.run(Stop())
    _same(whole.learner.state(), again.learner.state())
    np.testing.assert_array_equal(
        whole.learner.probabilities(whole.judged.counts), again.learner.probabilities(again.judged.counts)
    )


def _same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert set(one) == set(other)
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.mark.parametrize("damage", ["cut off", "other parameters", "foreign"])
def test_a_checkpoint_that_cannot_be_used_means_a_fresh_start(
    damage: str, texts: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _training("text_bayes", tmp_path, texts).run(Stop())
    file = tmp_path / "checkpoints/checkpoint.npz"
    if damage == "cut off":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "foreign":
        file.write_bytes(b"something else")
    arguments = ("--alpha", "1") if damage == "other parameters" else ()
    again = _training("text_bayes", tmp_path, texts, *arguments)
    assert again.step == 0
    assert "starting from the beginning" in capsys.readouterr().out


@pytest.mark.parametrize("classes", [2, 10])
def test_the_served_network_computes_what_scikit_learn_does(classes: int, images: Any, tmp_path: Path) -> None:
    def first(part: Any) -> Any:
        kept = np.flatnonzero(part.labels < classes)
        return data.Part(part.name, [part.items[n] for n in kept], part.labels[kept], [part.names[n] for n in kept], 0)

    some = data.Dataset(images.classes[:classes], first(images.train), first(images.held_out))
    training = _training("image_classifier", tmp_path, some, "--epochs", "3")
    training.run(Stop())
    training.learner.result(some.classes, training.settings).save(tmp_path)
    served = importlib.import_module("yardkit.perceptron").Perceptron.load(tmp_path)
    learned = training.learner.probabilities(training.judged.pixels)
    assert learned.shape[1] == classes
    np.testing.assert_allclose(served.probabilities(training.judged.pixels), learned, rtol=1e-4, atol=1e-6)


def test_the_served_counts_compute_what_scikit_learn_does(texts: Any, tmp_path: Path) -> None:
    training = _training("text_bayes", tmp_path, texts)
    training.run(Stop())
    training.learner.result().save(tmp_path)
    served = importlib.import_module("yardkit.bayes").Bayes.load(tmp_path)
    rows = served.probabilities(texts.held_out.items)
    np.testing.assert_allclose(rows, training.learner.probabilities(training.judged.counts), atol=1e-12)
    vectorizer = CountVectorizer(analyzer="char", ngram_range=(1, 3), preprocessor=lambda text: text.replace("，", ","))
    counts = vectorizer.fit_transform(texts.train.items)
    independent = MultinomialNB(alpha=0.1).fit(counts, texts.train.labels)
    np.testing.assert_allclose(rows, independent.predict_proba(vectorizer.transform(texts.held_out.items)), atol=1e-9)


def test_half_a_line_left_by_a_killed_process_spoils_no_other(tmp_path: Path) -> None:
    from yardkit.metrics import Curve

    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "accuracy": 0.5}\n{"step": 2, "acc')
    Curve(path).point(2, accuracy=0.6)
    assert path.read_text().splitlines()[2] == '{"step": 2, "accuracy": 0.6}'
