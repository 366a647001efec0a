"""Training as a process: what it learns, writes, tells, and how it ends."""

import io
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

MakeJob = Callable[..., Any]


def _images(folder: Path, count: int, light: int = 0) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        noise = np.random.default_rng(number).integers(light, light + 80, (12, 9), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


def _texts(folder: Path, texts: list[bytes]) -> Path:
    folder.mkdir(parents=True)
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_bytes(text)
    return folder


@pytest.mark.row("A9", "T12", "T13")
def test_digits_are_learned_well_and_told_epoch_by_epoch(digits_job: Any) -> None:
    job, log = digits_job
    assert job.evaluation["accuracy"] >= 0.96
    assert [point["step"] for point in job.points] == list(range(1, 21))
    assert all({"accuracy", "loss", "learning_rate"} <= set(point) for point in job.points)
    assert job.points[-1]["loss"] < job.points[0]["loss"]
    assert job.points[-1]["accuracy"] == pytest.approx(job.evaluation["accuracy"])
    assert "epoch 20/20" in log
    assert sorted(job.files()) == ["evaluation.json", "model.json", "weights.npz"]


def test_the_evaluation_is_what_others_compute_from_the_predictions(digits_job: Any, digits: Path) -> None:
    from yardkit.images import read_image
    from yardkit.perceptron import Perceptron

    job, _ = digits_job
    files = sorted((digits / "test").rglob("*.png"))
    true = [path.parent.name for path in files]
    network = Perceptron.load(job.results)
    rows = network.probabilities(np.stack([read_image(path, 16, "gray") for path in files]))
    _agree(job.evaluation, true, rows, network.classes)


def _agree(evaluation: dict[str, Any], true: list[str], rows: Any, classes: list[str]) -> None:
    guessed = [classes[number] for number in rows.argmax(axis=1)]
    assert evaluation["classes"] == classes
    assert evaluation["evaluated_on"] == "test"
    assert evaluation["samples"] == len(true)
    assert evaluation["accuracy"] == pytest.approx(metrics.accuracy_score(true, guessed))
    loss = metrics.log_loss(true, rows.astype(float) / rows.astype(float).sum(axis=1, keepdims=True), labels=classes)
    assert evaluation["loss"] == pytest.approx(loss, rel=1e-4)
    assert evaluation["confusion_matrix"] == metrics.confusion_matrix(true, guessed, labels=classes).tolist()
    columns = metrics.precision_recall_fscore_support(true, guessed, labels=classes, zero_division=0)
    for name, row in zip(classes, zip(*columns, strict=True), strict=True):
        assert list(evaluation["per_class"][name].values()) == pytest.approx([float(value) for value in row])


@pytest.mark.row("A9")
def test_chinese_news_is_told_apart(news_job: Any, news: Path) -> None:
    from yardkit.bayes import Bayes
    from yardkit.text import read_text

    job, log = news_job
    assert job.evaluation["accuracy"] >= 0.95
    assert [point["step"] for point in job.points] == list(range(1, 16))
    assert {"step", "accuracy", "loss"} == set(job.points[0])
    assert "step 15/15" in log
    files = sorted((news / "test").rglob("*.txt"))
    bayes = Bayes.load(job.results)
    rows = bayes.probabilities([read_text(path) for path in files])
    _agree(job.evaluation, [path.parent.name for path in files], rows, bayes.classes)


@pytest.mark.row("T2")
def test_parameters_come_from_arguments_then_the_environment(job: MakeJob, tmp_path: Path) -> None:
    _images(tmp_path / "d/dark", 6)
    _images(tmp_path / "d/light", 6, 150)
    work = job("image-classifier", tmp_path / "d")
    code, log = work.run("--epochs", 2, "--data_url", "x", EPOCHS="9", COLOR="rgb", IMG_SIZE="8")
    assert code == 0, log
    assert [point["step"] for point in work.points] == [1, 2]
    assert "ignoring the argument --data_url" in log
    assert work.evaluation["evaluated_on"] == "train"
    with np.load(work.results / "weights.npz") as weights:
        assert weights["coefficients_0"].shape == (8 * 8 * 3, 128)


@pytest.mark.row("T10")
@pytest.mark.parametrize("preset", ["image-classifier", "text-bayes"])
def test_sigterm_ends_with_a_checkpoint_from_which_the_next_attempt_goes_on(
    preset: str, job: MakeJob, digits: Path, news: Path
) -> None:
    work = job(preset, digits if preset == "image-classifier" else news)
    longest = {"image-classifier": "10000", "text-bayes": "100"}[preset]
    short_steps = {"batch_size": "1"} if preset == "text-bayes" else {}
    arguments = [text for name, value in {"epochs": longest, **short_steps}.items() for text in (f"--{name}", value)]
    _stopped_after(work, arguments, points=2)
    reached = work.points[-1]["step"]
    log = _stopped_after(work, arguments, points=len(work.points) + 2)
    assert "resuming from the checkpoint" in log
    steps = [point["step"] for point in work.points]
    assert steps == sorted(set(steps))
    assert steps[-1] > reached
    assert not (work.results / "model.json").exists()


def _stopped_after(work: Any, arguments: list[str], points: int) -> str:
    """Start training, end it by SIGTERM once it has told so many points; returns the log."""
    with work.start(*arguments) as process:
        deadline = time.monotonic() + 120
        while len(work.points) < points and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        log, _ = process.communicate(timeout=60)
    assert process.returncode == 143, log
    assert "Traceback" not in log
    return str(log)


@pytest.mark.row("A2")
def test_training_can_start_from_an_earlier_model(
    job: MakeJob, digits: Path, news: Path, digits_job: Any, news_job: Any
) -> None:
    images = job("image-classifier", digits, "images", digits_job[0].results)
    code, log = images.run("--epochs", 1, "--learning_rate", 0.00001)
    assert code == 0, log
    assert images.points[0]["accuracy"] == pytest.approx(digits_job[0].evaluation["accuracy"], abs=0.01)
    texts = job("text-bayes", news, "texts", news_job[0].results)
    assert texts.run()[0] == 0
    with (
        np.load(texts.results / "weights.npz") as twice,
        np.load(news_job[0].results / "weights.npz") as once,
    ):
        assert (twice["feature_count"] == 2 * once["feature_count"]).all()


@pytest.mark.row("A2")
def test_a_model_that_does_not_fit_is_no_start(
    job: MakeJob, digits: Path, news_job: Any, digits_job: Any, tmp_path: Path
) -> None:
    code, log = job("image-classifier", digits, pretrained=digits_job[0].results).run("--img_size", 8)
    assert code == 2
    assert "img_size=16" in log
    code, log = job("image-classifier", digits, pretrained=news_job[0].results).run()
    assert code == 2
    assert "was trained by 'text-bayes'" in log
    for name in ("a", "b"):
        _texts(tmp_path / "other" / name, [b"some words"])
    code, log = job("text-bayes", tmp_path / "other", pretrained=news_job[0].results).run()
    assert code == 2
    assert "knows the classes 体育, 财经" in log


def _cut_off() -> bytes:
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), dtype=np.uint8)).save(whole, "PNG")
    return whole.getvalue()[:600]


@pytest.mark.parametrize(
    "case", ["missing", "no classes", "one class", "all empty", "no image", "empty test", "stranger in test"]
)
def test_data_that_teaches_nothing_is_refused_in_words(case: str, job: MakeJob, tmp_path: Path) -> None:
    data, said = (
        tmp_path / "data",
        {
            "missing": "doesn't exist",
            "no classes": "no class folders",
            "one class": "only one class ('cat')",
            "all empty": "class folders in",
            "no image": "none of the files of class 'cat' is a readable image",
            "empty test": "nothing to evaluate on",
            "stranger in test": "'fox' is in 'test'",
        }[case],
    )
    if case != "missing":
        data.mkdir()
        (data / ".DS_Store").write_bytes(b"x")
    if case == "one class":
        _images(data / "cat", 2)
        (data / "dog").mkdir()
    elif case == "all empty":
        (data / "cat").mkdir()
        (data / "dog").mkdir()
    elif case == "no image":
        _texts(data / "cat", [b"not an image", _cut_off(), b""])
        _images(data / "dog", 2)
    elif case in ("empty test", "stranger in test"):
        for name in ("cat", "dog"):
            _images(data / "train" / name, 2)
            (data / "test" / name).mkdir(parents=True)
        if case == "stranger in test":
            _images(data / "test/fox", 1)
    work = job("image-classifier", data)
    code, log = work.run()
    assert code == 2, log
    assert said in log
    assert "Traceback" not in log
    assert list(work.results.iterdir()) == []


def test_unreadable_files_are_named_and_left_out(job: MakeJob, tmp_path: Path) -> None:
    _texts(tmp_path / "d/a", ["甲甲甲".encode(), b"\x00\x01binary", b""])
    _texts(tmp_path / "d/b", ["乙乙乙".encode("gbk"), "乙丙".encode("utf-16")])
    Path(tmp_path, "d/b", os.fsdecode(b"\xd7\xe3.txt")).write_bytes(b"")
    work = job("text-bayes", tmp_path / "d")
    code, log = work.run()
    assert code == 0, log
    assert r"b/\udcd7\udce3.txt is not a readable text" in log
    assert "a/1.txt is not a readable text: it is binary" in log
    assert "a/2.txt is not a readable text: it is empty" in log
    assert work.evaluation["samples"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--epochs", "0"], "epochs: 0 is less than 1"),
        (["--epochs=many"], "'many' is not of type integer"),
        (["--learning_rate", "nan"], "'nan' is not of type number"),
        (["--learning_rate", "2"], "learning_rate: 2 is more than 1"),
        (["--color", "blue"], "is not one of gray, rgb"),
        (["--epochs"], "has no value"),
        (["5"], "unexpected argument"),
    ],
)
def test_bad_parameters_are_refused_in_words(arguments: list[str], said: str) -> None:
    from yardkit import parameters
    from yardkit.process import Refused

    from algo_svc import presets

    with pytest.raises(Refused, match=said):
        parameters.read(presets.HERE / "image_classifier/algorithm.json", arguments, {})


def test_a_missing_folder_in_the_environment_is_named(job: MakeJob, tmp_path: Path) -> None:
    code, log = job("text-bayes", tmp_path).run(RESULT_DIR="")
    assert code == 2
    assert "RESULT_DIR is not set" in log


def test_a_full_disk_is_an_error_in_words(job: MakeJob, news: Path) -> None:
    code, log = job("text-bayes", news).run(YARD_METRICS="/dev/full")
    assert code == 1, log
    assert "No space left on device" in log
    assert "Traceback" not in log
