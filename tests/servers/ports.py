"""Ports for what tests start, such that nobody else on this machine is given them meanwhile."""

from __future__ import annotations

import os
import random
import socket
from itertools import cycle

LOWEST, WIDTH, SLICES = 10_000, 1_250, 8
"""Below those that the kernel gives to outgoing connections, and those that the platform gives to workloads: a client
that tries again while nobody listens, or a service that comes back to its port, must find nobody else there."""


def _slice() -> list[int]:
    """Those of this process: the processes of a run keep out of each other's way."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SLICES
    first = LOWEST + number * WIDTH
    return random.sample(range(first, first + WIDTH), WIDTH)


_next = cycle(_slice())


def quiet_port() -> int:
    """A loopback port that nobody listens on, and that isn't given again before all others were.

    By lot, as several runs may share a machine; whoever has it can leave it and come back to it."""
    for port in _next:
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("a cycle has no end")
