"""Image files: each is decoded to its last pixel, because one that is cut off still has a perfect beginning."""

from __future__ import annotations

import io
import struct
import warnings
from collections import Counter
from collections.abc import Callable, Iterator

from PIL import Image, UnidentifiedImageError

from dataset_svc.formats.port import ContentLimits, Sink, Summary
from dataset_svc.formats.ranges import Range

KINDS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""What is decoded. The library knows more kinds, but each is also a way in, and some start other programs."""

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, KeyError, TypeError, ZeroDivisionError)
"""What the decoders raise on damaged files (they document OSError and SyntaxError, and hostile files show the rest)."""


_COMMON, _SIZES = 10, 4_096
"""Sizes that are told, the commonest first, and sizes that are counted."""

Seen = Callable[[str, int, int], None]
"""Told of every good image: its path, width and height in pixels."""


class Images:
    """Checks image files and remembers their sizes (pixels), modes and kinds."""

    def __init__(self, sink: Sink, limits: ContentLimits, seen: Seen | None = None) -> None:
        self._sink, self._limits, self._seen = sink, limits, seen
        self._width, self._height = Range(), Range()
        self._modes: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._sizes: Counter[tuple[int, int]] = Counter()

    def whole(self, path: str, data: bytes) -> None:
        """See Content."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self._look(path, data)
            except (MemoryError, Image.DecompressionBombError):
                self._too_large(path)

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See Content. A large image is held in memory whole, up to the limit."""
        if size > self._limits.image_bytes:
            limit = self._limits.image_bytes
            self._sink.error("image_too_large", path, f"This file has {size:,} bytes; an image may have {limit:,}.")
            yield from chunks
            return
        data = b"".join(chunks)
        self.whole(path, data)
        yield data

    def summary(self) -> Summary:
        """See Content: `images` with widths and heights in pixels, the number of files of each mode and kind, and the
        commonest sizes."""
        return {
            "images": {
                "width": self._width.as_json(),
                "height": self._height.as_json(),
                "modes": dict(self._modes.most_common()),
                "kinds": dict(self._kinds.most_common()),
                "common": [{"width": w, "height": h, "files": n} for (w, h), n in self._sizes.most_common(_COMMON)],
            }
        }

    def _look(self, path: str, data: bytes) -> None:
        """Open, verify and decode one image."""
        try:
            image = Image.open(io.BytesIO(data), formats=KINDS)
        except UnidentifiedImageError:
            return self._sink.error("not_an_image", path, _not_an_image(data))
        except _DAMAGE:
            return self._sink.error("image_damaged", path, _DAMAGED)
        with image:
            if image.width * image.height > self._limits.image_pixels:
                return self._too_large(path)
            if not self._decodes(data):
                return self._sink.error("image_damaged", path, _DAMAGED)
            self._width.add(image.width)
            self._height.add(image.height)
            self._modes[image.mode] += 1
            self._kinds[image.format or ""] += 1
            if image.size in self._sizes or len(self._sizes) < _SIZES:
                self._sizes[image.size] += 1
            if self._seen is not None:
                self._seen(path, image.width, image.height)
        return None

    def _decodes(self, data: bytes) -> bool:
        """Whether checksums are right and every frame decodes. Raises DecompressionBombError."""
        try:
            with Image.open(io.BytesIO(data), formats=KINDS) as image:
                image.verify()
            with Image.open(io.BytesIO(data), formats=KINDS) as image:
                self._load_frames(image)
        except _DAMAGE:
            return False
        return True

    def _load_frames(self, image: Image.Image) -> None:
        """Decode every frame, as long as all together are not too many pixels."""
        frames = getattr(image, "n_frames", 1)
        if frames * image.width * image.height > self._limits.image_pixels:
            raise Image.DecompressionBombError
        for frame in range(frames):
            image.seek(frame)
            image.load()

    def _too_large(self, path: str) -> None:
        limit = self._limits.image_pixels
        self._sink.error(
            "image_too_large", path, f"This image has too many pixels to be decoded; {limit:,} are allowed."
        )


_DAMAGED = "This image is damaged or cut off: it can't be decoded to its end. Replace it, or leave it out."


def _not_an_image(data: bytes) -> str:
    what = "empty" if not data else "no image of a kind that is known"
    return f"This file is {what}. Taken are {', '.join(KINDS)}. Replace it, or leave it out."


def content(sink: Sink, limits: ContentLimits, seen: Seen | None = None) -> Images:
    """A checker of image files. Loads the decoders at once, so that nothing is loaded while strangers' data is read."""
    Image.preinit()
    Image.init()
    return Images(sink, limits, seen)
