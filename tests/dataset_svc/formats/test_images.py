"""Images are decoded to their last pixel."""

import struct
import zlib
from typing import Any

import pytest

from dataset_svc.formats import ContentLimits
from dataset_svc.formats.images import content
from tests.dataset_svc.formats.sinks import Heard, animation, picture


def check(data: bytes, limits: ContentLimits | None = None) -> tuple[list[str], dict[str, Any]]:
    heard = Heard()
    images = content(heard, limits or ContentLimits())
    images.whole("cat/1", data)
    assert all(file == "cat/1" for _, file in heard.errors)
    return [code for code, _ in heard.errors], images.summary()["images"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_every_kind_that_is_taken(kind: str) -> None:
    codes, summary = check(picture(kind))
    assert codes == []
    assert summary["kinds"] == {kind: 1}
    assert summary["common"] == [{"width": 24, "height": 16, "files": 1}]
    assert summary["width"]["histogram"] == [{"from": 24, "to": 24, "count": 1}]
    assert [summary["height"][name] for name in ("min", "max", "mean", "median")] == [16] * 4


@pytest.mark.row("D2")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_an_image_that_is_cut_off(kind: str, part: float) -> None:
    data = picture(kind, (64, 64))
    codes, _ = check(data[: int(len(data) * part)])
    assert codes in (["image_damaged"], ["not_an_image"])


@pytest.mark.parametrize("missing", [8, 12, 13, 20])
def test_a_png_whose_last_bytes_are_missing(missing: int) -> None:
    assert check(picture()[:-missing])[0] == ["image_damaged"]


def test_an_animation_that_is_cut_off_after_its_first_frame() -> None:
    data = animation()
    assert check(data)[0] == []
    assert check(data[: len(data) * 6 // 10])[0] == ["image_damaged"]


def test_a_png_with_a_wrong_checksum() -> None:
    data = bytearray(picture())
    data[data.index(b"IDAT") + 8] ^= 1
    assert check(bytes(data))[0] == ["image_damaged"]


@pytest.mark.row("D2")
@pytest.mark.parametrize(
    "data", [b"", b"hello", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"\x89PNG"]
)
def test_what_is_no_image(data: bytes) -> None:
    assert check(data)[0] == ["not_an_image"]


def test_a_tiny_file_of_endless_pixels_is_never_decoded() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    def png(width: int, height: int) -> bytes:
        head = struct.pack(">2L5B", width, height, 8, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")

    assert check(png(60_000, 60_000))[0] == ["image_too_large"]
    assert check(png(12_000, 12_000))[0] == ["image_too_large"]
    assert check(png(100, 100), ContentLimits(image_pixels=9_999))[0] == ["image_too_large"]
    assert check(animation(4), ContentLimits(image_pixels=20 * 20 * 3))[0] == ["image_too_large"]


def test_a_streamed_image_passes_through_unchanged() -> None:
    data, heard = picture(size=(80, 80)), Heard()
    images = content(heard, ContentLimits())
    assert b"".join(images.stream("cat/1", len(data), iter([data[:100], data[100:]]))) == data
    assert b"".join(images.stream("cat/2", 100, iter([data[:100]]))) == data[:100]
    assert heard.errors == [("image_damaged", "cat/2")]
    small = content(heard, ContentLimits(image_bytes=50))
    assert b"".join(small.stream("cat/3", len(data), iter([data]))) == data
    assert heard.errors[-1] == ("image_too_large", "cat/3")


def test_modes_are_counted() -> None:
    images = content(Heard(), ContentLimits())
    for mode in ("L", "L", "RGB", "RGBA"):
        images.whole("a", picture(mode=mode))
    assert images.summary()["images"]["modes"] == {"L": 2, "RGB": 1, "RGBA": 1}
