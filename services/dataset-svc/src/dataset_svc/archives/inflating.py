"""Inflating (RFC 1951), for every kind of archive: by ISA-L, which takes half of zlib's time and has its interface."""

from __future__ import annotations

from typing import cast

from isal.isal_zlib import MAX_WBITS, crc32, decompressobj, error

__all__ = ["MAX_WBITS", "InflateError", "crc32", "decompressobj"]

InflateError = cast(type[Exception], error)
"""What damaged data raises; the library's own stub takes this class for an instance of it."""
