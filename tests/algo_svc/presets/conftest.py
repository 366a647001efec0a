"""Runs presets as a runtime does: their code packages unpacked into a folder, as processes of their own."""

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image

from algo_svc import presets

sys.path.insert(0, str(presets.HERE / presets.SHARED))
DEADLINE_SECONDS = 180.0


@dataclass(frozen=True)
class Job:
    """One training job's folders."""

    code: Path
    data: Path
    home: Path
    pretrained: Path | None = None

    @property
    def results(self) -> Path:
        return self.home / "results"

    @property
    def environment(self) -> dict[str, str]:
        given = {
            "DATA_DIR": self.data,
            "RESULT_DIR": self.results,
            "CKPT_DIR": self.home / "checkpoints",
            "YARD_METRICS": self.home / "metrics.jsonl",
            "PRETRAINED_DIR": self.pretrained or "",
        }
        return {
            "PATH": os.environ["PATH"],
            "PYTHONWARNINGS": "error",
            "YARD_JOB_ID": "job-1",
            **{name: str(value) for name, value in given.items()},
        }

    def start(self, *arguments: object, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "train.py", *map(str, arguments)],
            cwd=self.code,
            text=True,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: object, **environment: str) -> tuple[int, str]:
        """Exit code and log."""
        with self.start(*arguments, **environment) as process:
            log, _ = process.communicate(timeout=DEADLINE_SECONDS)
        return process.returncode, log

    @property
    def points(self) -> list[dict[str, Any]]:
        path = self.home / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def evaluation(self) -> dict[str, Any]:
        text = (self.results / "evaluation.json").read_text(encoding="utf-8")
        return dict(json.loads(text))

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.results.iterdir()}


@contextmanager
def replica_of(code: Path, model: Path, **environment: str) -> "Iterator[tuple[httpx2.Client, subprocess.Popen[str]]]":
    """A running replica and a client of it; it ends by SIGTERM, well."""
    process = subprocess.Popen(
        [sys.executable, "serve.py"],
        cwd=code,
        text=True,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "MODEL_DIR": str(model), "PORT": "0", **environment},
    )
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address, f"the replica ended with {process.wait(DEADLINE_SECONDS)}"
        with httpx2.Client(base_url=address.group(), trust_env=False, timeout=DEADLINE_SECONDS) as client:
            yield client, process
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def replica() -> Callable[..., Any]:
    return replica_of


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The code package of each preset in a folder."""
    folders = {}
    for preset in presets.load_presets():
        folder = folders[preset.name] = tmp_path_factory.mktemp(preset.name)
        for name, content in preset.code.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return folders


@pytest.fixture
def job(unpacked: dict[str, Path], tmp_path: Path) -> Callable[..., Job]:
    def make(preset: str, data: Path, home: str = "job", pretrained: Path | None = None) -> Job:
        return Job(unpacked[preset], data, tmp_path / home, pretrained)

    return make


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The UCI digits as PNG files, 8 of 10 to train with."""
    from sklearn.datasets import load_digits

    root, bunch = tmp_path_factory.mktemp("digits"), load_digits()
    order = np.random.default_rng(7).permutation(len(bunch.target))
    for place, number in enumerate(order):
        part = "train" if place < 0.8 * len(order) else "test"
        folder = root / part / str(bunch.target[number])
        folder.mkdir(parents=True, exist_ok=True)
        pixels = (bunch.images[number] * 255 / 16).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=1)
    return root


SUBJECTS = {
    "体育": ["球队", "前锋", "教练", "主队", "足球运动员"],
    "财经": ["银行", "股市", "基金", "央行", "投资者"],
}
VERBS = {
    "体育": ["赢得了比赛", "踢进一球", "夺得冠军", "参加足球联赛"],
    "财经": ["上调利率", "股价大涨", "发布财报", "买入债券"],
}


@pytest.fixture(scope="session")
def news(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short Chinese news of two kinds, some of them in GBK."""
    root, chance = tmp_path_factory.mktemp("news"), random.Random(5)
    for kind in SUBJECTS:
        for part, count in (("train", 60), ("test", 20)):
            folder = root / part / kind
            folder.mkdir(parents=True)
            for number in range(count):
                sentence = f"{chance.choice(SUBJECTS[kind])}今天{chance.choice(VERBS[kind])}，第{number}条新闻"
                (folder / f"{number}.txt").write_bytes(sentence.encode("gbk" if number % 4 == 0 else "utf-8"))
    return root


@pytest.fixture(scope="session")
def digits_job(unpacked: dict[str, Path], digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, str]:
    """A finished job with default parameters, and its log."""
    job = Job(unpacked["image-classifier"], digits, tmp_path_factory.mktemp("digits_job"))
    code, log = job.run()
    assert code == 0, log
    return job, log


@pytest.fixture(scope="session")
def news_job(unpacked: dict[str, Path], news: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, str]:
    """A finished job with default parameters, and its log."""
    job = Job(unpacked["text-bayes"], news, tmp_path_factory.mktemp("news_job"))
    code, log = job.run("--batch_size", "8")
    assert code == 0, log
    return job, log
