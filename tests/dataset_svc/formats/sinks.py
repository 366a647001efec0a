"""A sink that remembers, and pictures to feed the checkers."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image


class Heard:
    """Every fault as (code, file)."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, str]] = []
        self.warnings: list[tuple[str, str]] = []
        self.reasons: list[str] = []

    def error(self, code: str, file: str, reason: str, line: int | None = None) -> None:
        self.errors.append((code, file))
        self.reasons.append(reason)

    def warning(self, code: str, file: str, reason: str, line: int | None = None) -> None:
        self.warnings.append((code, file))
        self.reasons.append(reason)


def picture(kind: str = "PNG", size: tuple[int, int] = (24, 16), mode: str = "RGB", **options: Any) -> bytes:
    target = io.BytesIO()
    Image.effect_noise(size, 80).convert(mode).save(target, kind, **options)
    return target.getvalue()


def animation(frames: int = 4) -> bytes:
    target = io.BytesIO()
    images = [Image.effect_noise((20, 20), 90).convert("P") for _ in range(frames)]
    images[0].save(target, "GIF", save_all=True, append_images=images[1:])
    return target.getvalue()
