"""Small pictures of any image, and of whatever claims to be one."""

import io
import struct
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from PIL import Image

from common.kernel.errors import Unavailable
from dataset_svc.importing import ChildLimits
from dataset_svc.looking.thumbnails import MakerLimits, Makers, NoThumbnail, Order
from dataset_svc.looking.thumbnails.drawing import NotDrawn, thumbnail
from tests.dataset_svc.formats.sinks import animation, picture

PIXELS = 1_000_000
BOX: dict[str, Any] = {"class": "猫", "box": [100, 50, 200, 100]}
OUTLINE: dict[str, Any] = {"class": "dog", "box": [0, 0, 50, 50], "polygons": [[0, 0, 50, 0, 50, 50]]}


def drawn(data: bytes, size: int = 64, objects: list[dict[str, Any]] | None = None) -> Image.Image:
    return Image.open(io.BytesIO(thumbnail(data, size, objects or [], PIXELS)), formats=["PNG"])


def made(mode: str, size: tuple[int, int] = (400, 200), kind: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.new(mode, size).save(target, kind)
    return target.getvalue()


@pytest.mark.row("D5")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_every_kind_that_is_taken(kind: str) -> None:
    small = drawn(picture(kind, (400, 200)))
    assert small.size == (64, 32)
    assert small.mode == "RGB"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "RGBA", "RGB"])
def test_every_mode(mode: str) -> None:
    assert drawn(made(mode)).mode == ("RGBA" if mode.endswith("A") else "RGB")


@pytest.mark.parametrize(
    ("mode", "kind"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("F", "TIFF"), ("I", "TIFF"), ("YCbCr", "JPEG")]
)
def test_modes_of_other_kinds(mode: str, kind: str) -> None:
    assert drawn(made(mode, kind=kind)).size == (64, 32)


def test_sixteen_bits_of_grey_are_seen() -> None:
    picture = Image.new("I;16", (4, 1))
    for place, value in enumerate((1000, 1500, 2000, 3000)):
        picture.putpixel((place, 0), value)
    target = io.BytesIO()
    picture.save(target, "PNG")
    shades = [drawn(target.getvalue()).getpixel((place, 0)) for place in range(4)]
    assert shades[0] == (0, 0, 0)
    assert shades[3] == (255, 255, 255)
    assert shades[1] == (63, 63, 63)


@pytest.mark.row("D5")
def test_boxes_and_outlines_are_drawn_where_they_are() -> None:
    plain, marked = drawn(made("RGB"), 128), drawn(made("RGB"), 128, [BOX, OUTLINE])
    assert marked.size == plain.size == (128, 64)
    changed = [(x, y) for x in range(128) for y in range(64) if plain.getpixel((x, y)) != marked.getpixel((x, y))]
    assert (32, 16) in changed
    assert (96, 48) in changed
    assert (64, 32) not in changed, "what is in a box stays to be seen"
    assert (8, 0) in changed
    assert max(x for x, _ in changed) == 96
    assert len({marked.getpixel(place) for place in changed}) == 2, "a colour for each class"


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is so large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 10_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


HOSTILE = {
    "nothing": b"",
    "text": b"<svg onload=alert(1)>",
    "too many pixels": bomb(50_000, 50_000),
    "cut off": picture("JPEG", (300, 300))[:-2000],
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
}


@pytest.mark.row("D5")
@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_image_has_none(name: str) -> None:
    with pytest.raises(NotDrawn):
        thumbnail(HOSTILE[name], 64, [], PIXELS)


def test_an_animation_shows_its_first_picture() -> None:
    assert drawn(animation(3)).size[0] <= 64


@pytest.fixture
async def makers() -> AsyncIterator[Makers]:
    made = Makers(MakerLimits(ChildLimits(memory=512 << 20, uid=65534), seconds=5.0, pixels=PIXELS), most=1)
    yield made
    await made.stop()


@pytest.mark.row("D5")
async def test_a_process_makes_one_after_the_other_and_bears_what_is_none(makers: Makers) -> None:
    good = picture("PNG", (400, 200))
    for _ in range(2):
        assert Image.open(io.BytesIO(await makers.make(good, Order(64)))).size == (64, 32)
        with pytest.raises(NoThumbnail):
            await makers.make(HOSTILE["text"], Order(64))
    assert len(makers._free) == 1


async def test_a_process_that_dies_is_replaced() -> None:
    makers = Makers(MakerLimits(ChildLimits(memory=512 << 20), seconds=0.0001, pixels=1 << 40), most=1)
    try:
        with pytest.raises(Unavailable):
            await makers.make(picture("PNG", (4000, 2000)), Order(1024))
        with pytest.raises(Unavailable):
            await makers.make(picture("PNG", (4000, 2000)), Order(1024))
        assert makers._free == []
    finally:
        await makers.stop()
