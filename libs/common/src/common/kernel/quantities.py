"""Amounts of memory as people write them: `512Mi`, `2G`, or plain bytes (the Kubernetes quantity notation)."""

from __future__ import annotations

import re

_FACTORS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
    f"{letter}i": 2 ** (10 * power) for power, letter in enumerate("KMGT", start=1)
}
_SHAPE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*(k|[KMGT]i?)?B?", re.ASCII)


def parse_bytes(text: str | int) -> int:
    """Bytes. Raises ValueError, saying how to write it, for anything that is no amount of memory."""
    if isinstance(text, int) and not isinstance(text, bool):
        if text < 0:
            raise ValueError("An amount of memory is not negative.")
        return text
    found = _SHAPE.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f"{text!r} is no amount of memory; write bytes, or 512Mi, 2Gi, 1.5G.")
    return int(float(found[1]) * _FACTORS[found[2] or ""])
