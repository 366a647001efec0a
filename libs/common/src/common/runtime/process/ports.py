"""Free TCP ports for workloads, outside the range from which the kernel takes ports for outgoing connections.

A port from that range could be taken by any outgoing connection between our choice and the workload's bind.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Container
from pathlib import Path

from common.kernel.errors import Unavailable

_LOWEST, _HIGHEST = 20_000, 65_535


def free_port(taken: Container[int]) -> int:
    """A port of the loopback that nobody listens on and that is not in `taken`. Raises Unavailable (`no_port`)."""
    candidates = _candidates()
    start = random.randrange(len(candidates))  # noqa: S311 - to keep two platforms apart, not a secret
    for port in candidates[start:] + candidates[:start]:
        if port not in taken and _is_free(port):
            return port
    raise Unavailable("no_port", "Every port for workloads is in use; stop some services first.")


def _candidates() -> list[int]:
    try:
        low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    except FileNotFoundError:
        low, high = 32_768, 60_999
    return [port for port in range(_LOWEST, _HIGHEST + 1) if not low <= port <= high] or list(range(low, high + 1))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
