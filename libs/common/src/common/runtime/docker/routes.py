"""The networks that this machine knows a way to: a network of ours among them would cut it off from one of both."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

TABLE = Path("/proc/net/route")
"""Columns: interface, destination, gateway, flags, counts, use, metric, mask, and more (proc(5))."""


def known(table: Path = TABLE) -> list[IPv4Network]:
    """Those of the kernel's main table; none where a system has no such table, or shows it to nobody."""
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return []
    return [IPv4Network((_address(row[1]), str(_address(row[7])))) for row in rows]


def _address(word: str) -> IPv4Address:
    """From hexadecimal, of a number as it lies in this machine's memory."""
    return IPv4Address(int(word, 16).to_bytes(4, sys.byteorder))
