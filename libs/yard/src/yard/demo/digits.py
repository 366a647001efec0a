"""The demo's data: the UCI handwritten digits (E. Alpaydin, C. Kaynak, 1998) that scikit-learn carries.

1,797 images of 8 × 8 pixels, written as PNG files in a folder a class, which is what a person would bring.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yard.errors import YardError

if TYPE_CHECKING:
    from collections.abc import Mapping

BRIGHTEST = 16
"""The data's own scale: 0 is paper, 16 is ink."""

Picture = Sequence[Sequence[int]]
"""Rows of values from 0 to 16."""


@dataclass(frozen=True)
class HeldOut:
    """An image that never enters the dataset: its true label, its PNG file, and its pixels."""

    label: str
    png: bytes
    picture: Picture


@dataclass(frozen=True)
class Digits:
    """The archive, how many images are in it by class, and those kept out of it, one a class."""

    archive: Path
    classes: Mapping[str, int]
    held_out: Sequence[HeldOut]

    @property
    def images(self) -> int:
        """Images in the archive."""
        return sum(self.classes.values())


def write_digits(folder: Path) -> Digits:
    """Write the archive into `folder`. Raises YardError (`missing_library`)."""
    images, labels = _load()
    chosen = _last_of_each(labels)
    held_out = [HeldOut(labels[at], png_of(images[at]), images[at]) for at in chosen]
    kept = [at for at in range(len(labels)) if at not in set(chosen)]
    archive = folder / "digits.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for at in kept:
            packed.writestr(f"{labels[at]}/{at:04}.png", png_of(images[at]))
    classes = {label: sum(labels[at] == label for at in kept) for label in sorted(set(labels))}
    return Digits(archive, classes, held_out)


def png_of(picture: Picture) -> bytes:
    """A picture as a greyscale PNG file, ink white on black."""
    from PIL import Image

    flat = bytes(value * 255 // BRIGHTEST for row in picture for value in row)
    file = io.BytesIO()
    Image.frombytes("L", (len(picture[0]), len(picture)), flat).save(file, "PNG")
    return file.getvalue()


def _load() -> tuple[list[Picture], list[str]]:
    """Pictures and labels. scikit-learn and pillow are needed here only."""
    try:
        import PIL  # noqa: F401 - asked for here, so that one message names what is missing
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise YardError(
            "missing_library", f"The demo's data needs scikit-learn and pillow ({error}). `make setup` installs them."
        ) from error
    data: Any = load_digits()
    pictures: list[Picture] = data.images.astype(int).tolist()
    return pictures, [str(label) for label in data.target.tolist()]


def _last_of_each(labels: Sequence[str]) -> list[int]:
    """The place of the last image of each class."""
    return sorted({label: at for at, label in enumerate(labels)}.values())


_INK = BRIGHTEST // 2


def sketch(picture: Picture) -> Iterator[str]:
    """A picture in lines of block characters, each of which is two pixels, one above the other."""
    for upper, lower in zip(picture[::2], picture[1::2], strict=True):
        yield "".join(" ▀▄█"[(above > _INK) + 2 * (below > _INK)] for above, below in zip(upper, lower, strict=True))
