"""The end of a workload, as its supervisor sees it: nothing of its tree stays, and why it ended is written down.

Loaded by `supervisor.py` beside it once the workload runs, so its imports cost the start nothing. Standard
library only, and nothing of `common`: the supervisor must go on while the platform is replaced.
"""

# ruff: noqa: PTH104, PTH106, PTH109, PTH112, PTH123, PTH208, T201

import ctypes
import json
import os
import resource
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn, Protocol
else:
    Protocol = object  # typing itself takes longer to import than all this does at the end

Plan = dict[str, list[str]]

ROOM = 4096
FULL = 1 << 20
"""Bytes: a disk with less room than that counts as full."""
SET_CHILD_SUBREAPER = 36
MARK = "YARD_WORKLOAD_DIR="
DEAD = (b"Z", b"X")
"""The states, in `stat_fields`, of a process that has ended."""


class Log(Protocol):
    """What is asked of the supervisor's log."""

    full: bool

    def pump(self) -> None:
        """Keep what the child wrote last."""


def adopt_orphans() -> None:
    """Become the parent of whatever the workload leaves behind (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def processes() -> dict[int, tuple[int, bytes]]:
    """Every living process: its parent and its environment (empty where that can't be read)."""
    seen: dict[int, tuple[int, bytes]] = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        fields = stat_fields(pid)
        if fields is not None and fields[0] not in DEAD:
            seen[pid] = (int(fields[1]), environment(pid))
    return seen


def stat_fields(pid: int) -> list[bytes] | None:
    """The fields of /proc/<pid>/stat (proc(5)) from the state on (field 3), or None where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def environment(pid: int) -> bytes:
    """A process's environment, empty where it can't be read: it is another user's, or just ended."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:
        return b""


def members(groups: list[str]) -> set[int]:
    """The processes in these control groups; an absent group has none."""
    found: set[int] = set()
    for group in groups:
        try:
            with open(f"{group}/cgroup.procs") as file:
                found.update(int(line) for line in file)
        except FileNotFoundError:
            continue
    return found


def tree(folder: str, groups: list[str], roots: set[int]) -> set[int]:
    """The living processes of a workload: those in its control groups, those that carry its mark in their
    environment, and all that descend from them or from `roots`, but never `roots` themselves."""
    seen = processes()
    mark = os.fsencode(MARK + folder)
    family = {pid for pid, (_, words) in seen.items() if mark in words.split(b"\0")}
    family |= (members(groups) & set(seen)) | roots
    while more := {pid for pid, (parent, _) in seen.items() if parent in family} - family:
        family |= more
    return family - roots - {os.getpid()}


def kill(pids: set[int]) -> None:
    """Kill them; one that is gone already, or can't be touched, is reported and passed over."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError as error:
            print(f"process {pid}: {error.strerror}", file=sys.stderr)


def rest(plan: Plan) -> set[int]:
    """What lives of the workload beside its first process. Who is not root gets out of no control group, so where there
    is one that says it all, and nobody need look through all processes of the machine."""
    groups = plan.get("cgroup", [])
    if groups and plan["uid"] != ["0"]:
        return {pid for pid in members(groups) if lives(pid)} - {os.getpid()}
    return tree(os.getcwd(), groups, {os.getpid()})


def lives(pid: int) -> bool:
    """Whether that process has not ended yet, taken leave of or not."""
    fields = stat_fields(pid)
    return fields is not None and fields[0] not in DEAD


def kill_rest(plan: Plan, child: int) -> bool:
    """Kill the child's process group and all that belongs to the workload; whether anything was left beside it."""
    try:
        os.killpg(child, signal.SIGKILL)
    except OSError as error:
        print(f"process group {child}: {error.strerror}", file=sys.stderr)
    left = rest(plan)
    kill(left)
    return bool(left)


def finish(plan: Plan, child: int, cause: str, log: Log) -> "NoReturn":
    """Kill what the ended child left, reap everything, and write down how it ended."""
    deadline = time.monotonic() + 5
    while kill_rest(plan, child) and time.monotonic() < deadline:
        time.sleep(0.002)
    _, status = os.waitpid(child, 0)
    log.pump()
    reap()
    code = os.waitstatus_to_exitcode(status)
    cause, detail = why(plan, code, cause, log.full)
    end(plan, cause, detail, code if code >= 0 else 128 - code)


def why(plan: Plan, code: int, cause: str, log_full: bool) -> tuple[str, str]:
    """Cause and detail of an end with that exit code (negative: a signal), where `cause` is what we did to it."""
    killed = f"it was killed by {signal.Signals(-code).name}" if code < 0 else ""
    if code != 0 and oom_kills(plan):
        return "out_of_memory", "it used more memory than its limit, and the kernel killed it"
    if cause:
        return cause, killed
    if code != 0 and (log_full or disk_full(plan)):
        return "storage_full", "no space is left on a disk that it writes to"
    return "exit", killed


def reap() -> None:
    """Take leave of every adopted process that has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


def usage() -> "dict[str, Any]":
    """CPU seconds of the whole tree and the peak memory, in bytes, of its largest process (getrusage(2))."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"cpu_seconds": round(used.ru_utime + used.ru_stime, 6), "peak_memory": used.ru_maxrss * 1024}


def oom_kills(plan: Plan) -> int:
    """How many processes of the control group the kernel killed for memory (`oom_kill` in both cgroup versions)."""
    for path in plan.get("oom", []):
        with open(path) as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def disk_full(plan: Plan) -> bool:
    """Whether a disk that the workload writes to is full, or its last words say that it was."""
    with open("log", "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - ROOM))
        if b"No space left on device" in file.read():
            return True
    rooms = [os.statvfs(path) for path in plan.get("disk", []) if os.path.isdir(path)]
    return any(room.f_bavail * room.f_frsize < FULL for room in rooms)


def end(plan: Plan, cause: str, detail: str, code: int | None = None) -> "NoReturn":
    """Give the control groups back, write `exit.json` into the room kept for it, and go."""
    for group in reversed(plan.get("cgroup", [])):
        drop_group(group)
    record = {"cause": cause, "detail": detail[:1000], "exit_code": code, "ended_at": time.time(), "usage": usage()}
    fd = os.open("exit.json.tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.pwrite(fd, json.dumps(record).encode().ljust(ROOM), 0)
    os.fsync(fd)
    os.rename("exit.json.tmp", "exit.json")
    os._exit(0)


def drop_group(group: str) -> bool:
    """Remove a control group, trying for a tenth of a second while the kernel still counts the dead in it."""
    for _ in range(20):
        try:
            os.rmdir(group)
        except FileNotFoundError:
            return True
        except OSError:
            time.sleep(0.005)
        else:
            return True
    print(f"{group} is still in use; the platform removes it later", file=sys.stderr)
    return False
