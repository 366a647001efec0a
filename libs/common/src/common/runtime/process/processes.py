"""Who a process is: its pid together with when it started and in which boot, never the pid alone.

Pids are reused within minutes on a busy machine; pid and start time (proc(5), stat field 22) together are not.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from common.runtime.process import ending

Record = dict[str, Any]
_TICKS = os.sysconf("SC_CLK_TCK")


def boot_id() -> str:
    """The id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def alive(record: Record) -> bool:
    """Whether the process of that record (pid, start, boot) lives; a zombie is dead."""
    if record.get("boot") != boot_id():
        return False
    fields = ending.stat_fields(int(record["pid"]))
    return fields is not None and fields[0] not in ending.DEAD and int(fields[19]) == int(record["start"])


def send(record: Record, number: signal.Signals) -> bool:
    """Signal exactly that process (by pidfd, so a reused pid is never hit); False where it is gone."""
    try:
        fd = os.pidfd_open(int(record["pid"]))
    except ProcessLookupError:
        return False
    try:
        if not alive(record):
            return False
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def usage(record: Record) -> tuple[float, int]:
    """CPU seconds and peak memory in bytes of a running process, its ended children's CPU included."""
    fields = ending.stat_fields(int(record["pid"]))
    if fields is None or not alive(record):
        return 0.0, 0
    seconds = sum(int(fields[i]) for i in (11, 12, 13, 14)) / _TICKS
    try:
        status = Path(f"/proc/{record['pid']}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return seconds, 0
    peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), "0")
    return seconds, int(peak) * 1024


def kill_all(folder: Path, groups: list[str], child: Record | None, patience: float = 2.0) -> bool:
    """Kill what is left of a workload whose supervisor is dead; whether nothing is left (within `patience` s)."""
    deadline = time.monotonic() + patience
    while True:
        roots = {int(child["pid"])} if child and alive(child) else set()
        left = ending.tree(str(folder), groups, roots) | roots
        if not left:
            return True
        if time.monotonic() > deadline:
            return False
        ending.kill(left)
        time.sleep(0.005)
