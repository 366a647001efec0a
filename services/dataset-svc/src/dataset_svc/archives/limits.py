"""How much an archive may ask for before it is refused."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one archive; an administrator may set others. Sizes in bytes, time in seconds.

    Ratios are unpacked to packed size. They count only above `ratio_floor` bytes, because a small file of
    one repeated byte compresses a thousandfold and harms nobody.
    """

    entries: int = 2_000_000
    bytes: int = 512 * _GIB
    file_bytes: int = 32 * _GIB
    depth: int = 32
    member_ratio: float = 300.0
    total_ratio: float = 100.0
    ratio_floor: int = 4 * _MIB
    seconds: float = 4 * 3600.0
