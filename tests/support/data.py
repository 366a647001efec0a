"""Small real data: pictures that a classifier can tell apart, and Chinese texts."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

CLASSES = ("circles", "stripes", "网格")
SIZE = 8

_SPORT = ("足球", "篮球", "比赛", "球员", "进球", "教练", "冠军", "体育场")
_FINANCE = ("股票", "银行", "利率", "市场", "基金", "投资", "经济", "汇率")
TOPICS: Mapping[str, tuple[str, ...]] = {"体育": _SPORT, "财经": _FINANCE}


def picture(label: str, number: int) -> bytes:
    """A noisy PNG of that class; the same number gives the same picture."""
    dice = random.Random(f"{label} {number}")
    bright = {
        "circles": lambda x, y: (x - 3.5) ** 2 + (y - 3.5) ** 2 < 8,
        "stripes": lambda x, _: x % 2 == 0,
        "网格": lambda x, y: x in (0, 7) or y in (0, 7),
    }[label]
    pixels = bytes((180 if bright(x, y) else 30) + dice.randrange(40) for y in range(SIZE) for x in range(SIZE))
    file = io.BytesIO()
    Image.frombytes("L", (SIZE, SIZE), pixels).save(file, "PNG")
    return file.getvalue()


def images_zip(to: Path, each: int = 30) -> Path:
    """A `dir` archive with `each` pictures in each of the three classes."""
    return packed(to, {f"{label}/{n:03}.png": picture(label, n) for label in CLASSES for n in range(each)})


def text(topic: str, number: int) -> str:
    """A sentence on that topic."""
    return "".join(random.Random(f"{topic} {number}").choices(TOPICS[topic], k=6)) + "。"


def texts_zip(to: Path, each: int = 40) -> Path:
    """A `dir` archive of Chinese texts in two classes."""
    return packed(to, {f"{topic}/{n:03}.txt": text(topic, n).encode() for topic in TOPICS for n in range(each)})


def packed(to: Path, files: Mapping[str, bytes]) -> Path:
    """A zip of these files."""
    with zipfile.ZipFile(to, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return to
