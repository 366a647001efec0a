"""Making one thumbnail from the bytes of an image."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

from PIL import Image, ImageDraw

from dataset_svc.formats.images import KINDS

_COLOURS = ("#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#f032e6", "#bcf60c")
_MOST_OBJECTS = 500
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError, ZeroDivisionError)


class NotDrawn(Exception):
    """There can be no thumbnail; the text says why."""


def thumbnail(data: bytes, size: int, objects: list[dict[str, Any]], pixels: int) -> bytes:
    """A PNG that fits into a square of `size` pixels, of the first frame as training code sees it: not turned as a
    camera's note may ask for, so that what is annotated lies where it should. Raises NotDrawn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=KINDS) as image:
                return _small(image, size, objects, pixels)
        except _DAMAGE as error:
            raise NotDrawn("it is no image that can be decoded") from error
        except (MemoryError, Image.DecompressionBombError) as error:
            raise NotDrawn("it has too many pixels") from error


def _small(image: Image.Image, size: int, objects: list[dict[str, Any]], pixels: int) -> bytes:
    width, height = image.size
    if width * height > pixels:
        raise NotDrawn(f"it has more than {pixels:,} pixels")
    image.draft("RGB", (size, size))
    small = _coloured(image)
    small.thumbnail((size, size))
    if objects:
        _draw(small, objects, small.width / width, small.height / height)
    target = io.BytesIO()
    small.save(target, "PNG")
    return target.getvalue()


def _coloured(image: Image.Image) -> Image.Image:
    """The image in colours that can be made smaller; of one with many shades of grey the darkest becomes black and the
    lightest white, or it would be one spot."""
    if image.mode.startswith(("I", "F")):
        grey = image.convert("F")
        darkest, lightest = grey.getextrema()
        assert isinstance(darkest, float) and isinstance(lightest, float)  # noqa: PT018  (no test)
        scale = 255 / max(lightest - darkest, 1e-9)
        return grey.point(lambda value: value * scale - darkest * scale).convert("RGB")
    seen_through = image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info
    return image.convert("RGBA" if seen_through else "RGB")


def _draw(small: Image.Image, objects: list[dict[str, Any]], across: float, down: float) -> None:
    """Boxes and outlines, a colour for each class."""
    pen = ImageDraw.Draw(small)
    thick = max(1, max(small.size) // 128)
    for found in objects[:_MOST_OBJECTS]:
        colour = _COLOURS[zlib.crc32(str(found.get("class", "")).encode()) % len(_COLOURS)]
        left, top, width, height = found["box"]
        outlines = found.get("polygons") or ()
        for outline in outlines:
            points = [(x * across, y * down) for x, y in zip(outline[::2], outline[1::2], strict=False)]
            pen.line([*points, points[0]], fill=colour, width=thick)
        if not outlines:
            right, bottom = (left + width) * across, (top + height) * down
            pen.rectangle((left * across, top * down, right, bottom), outline=colour, width=thick)
