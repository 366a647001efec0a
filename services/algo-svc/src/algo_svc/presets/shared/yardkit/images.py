"""From an image file to the small array of pixels that the image classifier looks at."""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .arrays import Array
from .data import Unreadable

# Named one by one: other readers of the library start programs of their own or are rarely looked after.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MOST_PIXELS = 40_000_000
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, Image.DecompressionBombError)


def read_image(source: Path | bytes, size: int, color: str) -> Array:
    """An image as `size` × `size` bytes (× 3 for `rgb`), stretched to a square; raises `Unreadable`."""
    opened = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(opened, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Unreadable(f"{image.width} × {image.height} pixels are more than {MOST_PIXELS:,}")
            image.draft("RGB" if color == "rgb" else "L", (2 * size, 2 * size))
            return _pixels(image, size, color)
    except UnidentifiedImageError:
        raise Unreadable(f"it is no image of a known format ({', '.join(FORMATS)})") from None
    except BROKEN as reason:
        raise Unreadable(f"the image is damaged or cut off ({reason})") from None


def _pixels(image: Image.Image, size: int, color: str) -> Array:
    upright = _on_white(_eight_bits(ImageOps.exif_transpose(image)))
    plain = upright.convert("RGB" if color == "rgb" else "L")
    return np.asarray(plain.resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Images of 16 bits a pixel would be clipped to white by a plain conversion: keep their upper byte."""
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray((values >> 8 if values.max(initial=0) > 255 else values).clip(0, 255).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    """What is transparent shows white paper, not whatever colour hides beneath."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(paper, image)
