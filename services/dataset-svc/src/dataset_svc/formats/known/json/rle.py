"""COCO's run-length masks: runs of 0 and 1 in turn, down the columns. Source: pycocotools, maskApi.c (rleFrString)."""

from __future__ import annotations

from typing import Any

_LARGEST = 1 << 40
"""Pixels of an image, or of one of its sides or runs."""


class BadMask(ValueError):
    """The mask is none; the text says why."""


def runs_of(counts: Any) -> list[int]:
    """The lengths of the runs, from a list or from COCO's compressed string. Raises BadMask."""
    if isinstance(counts, str):
        return _unpacked(counts)
    if isinstance(counts, list) and all(type(run) is int and 0 <= run < _LARGEST for run in counts):
        return counts
    raise BadMask("its counts are neither a list of lengths nor a compressed string")


def check(segmentation: dict[str, Any]) -> tuple[int, int, int]:
    """Height, width and the number of pixels set. Raises BadMask."""
    size = segmentation.get("size")
    if not (
        isinstance(size, list) and len(size) == 2 and all(type(side) is int and 0 < side < _LARGEST for side in size)
    ):
        raise BadMask("its size is not [height, width]")
    runs = runs_of(segmentation.get("counts"))
    if sum(runs) != size[0] * size[1]:
        raise BadMask(f"its runs cover {sum(runs):,} pixels, the image has {size[0] * size[1]:,}")
    return size[0], size[1], sum(runs[1::2])


def _unpacked(text: str) -> list[int]:
    """Five bits a character, the sixth says that more follow; each length after the second is a difference."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise BadMask("its compressed counts have a character that can't be there")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value |= -1 << shift
        run = value + (runs[-2] if len(runs) > 2 else 0)
        if run < 0:
            raise BadMask("one of its runs is negative")
        runs.append(run)
        value = shift = 0
    if shift:
        raise BadMask("its compressed counts are cut off")
    return runs
