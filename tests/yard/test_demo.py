"""The demo's data, and its journey over the stub."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.yard.stub import Stub
from yard import Client, YardError
from yard.demo import run
from yard.demo.digits import Digits, sketch, write_digits
from yard.demo.stage import Stage


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return write_digits(tmp_path_factory.mktemp("digits"))


def test_the_archive_is_a_folder_a_class_of_png_files(digits: Digits) -> None:
    with zipfile.ZipFile(digits.archive) as packed:
        names = packed.namelist()
        assert digits.images == len(names) == 1787
        assert {name.split("/")[0] for name in names} == {str(n) for n in range(10)}
        assert all(re.fullmatch(r"\d/\d{4}\.png", name) for name in names)
        image = Image.open(io.BytesIO(packed.read(names[0])))
        assert (image.format, image.mode, image.size) == ("PNG", "L", (8, 8))


def test_what_is_held_out_never_enters_the_archive(digits: Digits) -> None:
    assert sorted(one.label for one in digits.held_out) == [str(n) for n in range(10)]
    with zipfile.ZipFile(digits.archive) as packed:
        inside = {packed.read(name) for name in packed.namelist()}
    assert not inside & {one.png for one in digits.held_out}


def test_pictures_survive_as_png(digits: Digits) -> None:
    one = digits.held_out[0]
    pixels = np.asarray(Image.open(io.BytesIO(one.png)))
    assert (pixels == np.array(one.picture) * 255 // 16).all()
    lines = list(sketch(one.picture))
    assert len(lines) == 4
    assert {len(line) for line in lines} == {8}


def test_a_missing_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(YardError, match="needs scikit-learn and pillow"):
        write_digits(tmp_path)


@pytest.fixture
def ready(stub: Stub, digits: Digits) -> Stub:
    stub.labels = [(one.png, one.label) for one in digits.held_out]
    return stub


def test_the_journey_ends_well(client: Client, ready: Stub) -> None:
    out = io.StringIO()
    assert run(client, out=out) == 0
    told = out.getvalue()
    assert "10 of 10 right" in told
    assert "503 service_stopped" in told
    assert "\x1b" not in told
    assert "\r" not in told
    assert max(map(len, told.splitlines())) <= 120
    steps = [line for line in told.splitlines() if re.match(r"^[✓+] ", line)]
    assert len(steps) == 17
    assert all(re.search(r"\d\.\d s", line) for line in steps)


def test_the_predictions_go_by_api_key_which_is_revoked_after(client: Client, ready: Stub) -> None:
    assert run(client, out=io.StringIO()) == 0
    by_key = [one for one in ready.calls("POST", "^/serve/") if one.headers["authorization"] == "Bearer key-of-alice"]
    assert len(by_key) == 10
    assert ready.things["api-keys"] == {}


def test_an_accuracy_that_is_too_low_fails_with_the_reason(client: Client, ready: Stub) -> None:
    ready.accuracy = 0.91
    out = io.StringIO()
    assert run(client, out=out) == 1
    assert "accuracy 0.9100 on the held-out part is below 0.93" in out.getvalue()


def test_a_failed_training_shows_the_end_of_its_log(client: Client, ready: Stub) -> None:
    ready.job_state = "failed"
    out = io.StringIO()
    assert run(client, out=out) == 1
    assert "epoch 2" in out.getvalue()
    assert "[job_failed]" in out.getvalue()
    assert "Train on 80 %" in out.getvalue()


def test_ascii_is_enough(client: Client, ready: Stub) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    assert run(client, out=out) == 0
    out.flush()
    assert b"10 of 10 right" in raw.getvalue()


def test_on_a_screen_bars_come_and_go(client: Client, ready: Stub) -> None:
    class Screen(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    out = Screen()
    assert run(client, out=out) == 0
    assert "\x1b[32m✓" in out.getvalue()


def test_a_step_that_fails_is_marked() -> None:
    out = io.StringIO()
    stage = Stage(out)
    with pytest.raises(RuntimeError), stage.step("Try"):
        raise RuntimeError
    assert out.getvalue().startswith(("✗ Try", "x Try"))
