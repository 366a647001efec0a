"""Reading on in the metrics file that a running attempt writes (`YARD_METRICS`)."""

from __future__ import annotations

from common.kernel.errors import NotFound
from common.ports.runtime import Runtime
from common.workloads.workload import Workload
from train_svc.domain.points import from_lines
from train_svc.metrics import Metrics
from train_svc.plans import METRICS_FILE, METRICS_MOUNT

MOST_AT_ONCE = 1 << 20
"""Bytes that are read before they are committed."""
LONGEST_LINE = 1 << 16
"""A line without an end in so many bytes is no point; it is left out."""


async def read_on(runtime: Runtime, metrics: Metrics, workload: Workload, *, to_the_end: bool = False) -> bool:
    """Add the points written since; gives whether it has written any at all. A last line that is not ended yet waits,
    unless this is the end."""
    if not await _begun(runtime, workload):
        return False
    offset = await metrics.offset(workload.id)
    while True:
        block = await _read(runtime, workload, offset)
        whole = len(block) if to_the_end and len(block) < MOST_AT_ONCE else _whole(block)
        if whole == 0:
            return True
        if not await metrics.follow(workload.id, offset, offset + whole, from_lines(block[:whole])):
            return True  # another instance reads it
        offset += whole
        if len(block) < MOST_AT_ONCE:
            return True


async def _begun(runtime: Runtime, workload: Workload) -> bool:
    """Whether it has written any: most short ones never do, and of those nothing need be asked in the database."""
    handle = workload.handle or {"workload": workload.id}
    try:
        async for _ in runtime.read_output(handle, METRICS_MOUNT, METRICS_FILE, 0):
            return True
    except NotFound:
        return False
    return False


def _whole(block: bytes) -> int:
    """How many bytes of it are whole lines; all of it where the last line is longer than any point."""
    end = block.rfind(b"\n") + 1
    return len(block) if len(block) - end > LONGEST_LINE else end


async def _read(runtime: Runtime, workload: Workload, offset: int) -> bytes:
    handle = workload.handle or {"workload": workload.id}
    block = bytearray()
    try:
        async for chunk in runtime.read_output(handle, METRICS_MOUNT, METRICS_FILE, offset):
            block += chunk
            if len(block) >= MOST_AT_ONCE:
                break
    except NotFound:
        return b""  # it has written none
    return bytes(block[:MOST_AT_ONCE])
