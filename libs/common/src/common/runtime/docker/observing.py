"""How a workload stands: by Docker's word whether it runs, and by its supervisor's how it ended.

Only Docker is believed that something ended; the supervisor's record, which the workload could have written itself,
only says how. The first ending that is seen is kept, so that it is told the same for ever.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from common.ports.runtime import Observation, Usage, WorkloadState
from common.runtime.docker.records import Record, Records

PATIENCE = 60.0
"""Seconds that a launch may take from being settled to its container's start."""
LATE = 15.0
"""Seconds after which the supervisor, which should have ended the workload, is no longer waited for."""
LOST = "its supervisor ended without a word, and its container with it"
CANNOT_RUN = (126, 127)
"""What the first process of a container ends with where it can't run, or can't find, what it is to run."""
NO_SHELL = "its image has no /bin/sh that can be run: an image needs /bin/sh and Python 3.11 or newer"
_CAUSES = ("exit", "stopped", "time_limit", "out_of_memory", "storage_full", "launch_failed")


def hour(text: str) -> float:
    """Seconds since 1970 of one of Docker's times (RFC 3339 with nanoseconds); 0 where it says never."""
    if not text or text.startswith("0001"):
        return 0.0
    whole, _, rest = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{rest[:6]:0<6}+00:00").timestamp()


def running(settled: Record, state: Mapping[str, Any], records: Records, address: str | None) -> Observation:
    """A container that runs: the workload in it does once its supervisor says so."""
    if records.told("running") is None:
        return Observation(WorkloadState.STARTING, address=address)
    return Observation(WorkloadState.RUNNING, started_at=_date(hour(state["StartedAt"])), address=address)


def overdue(settled: Record, state: Mapping[str, Any], records: Records, grace: float) -> str:
    """Why a running workload should have ended long ago (`time_limit`, `stopped`); empty where it needn't have."""
    now = time.time()
    if (asked := records.stop_asked()) is not None and now > sum(asked) + LATE:
        return "stopped"
    since = hour(state["StartedAt"])
    return "time_limit" if settled["seconds"] and since and now > since + settled["seconds"] + grace + LATE else ""


def ending(settled: Record, found: Mapping[str, Any] | None, records: Records, address: str | None) -> Record:
    """The record of an ending: what Docker knows of the container (None: it is gone), and what was told of it."""
    state = found["State"] if found else {}
    started, ended = hour(state.get("StartedAt", "")), hour(state.get("FinishedAt", ""))
    told = _told(records.told("exit.json")) or _untold(state, records)
    at = min(max(told.get("ended_at") or ended or time.time(), started), time.time())
    return told | {"started_at": started or None, "ended_at": at, "address": address}


def _untold(state: Mapping[str, Any], records: Records) -> Record:
    """The ending of which no supervisor told, from Docker's own words."""
    code = state.get("ExitCode")
    if state.get("OOMKilled"):
        detail = "it used more memory than its limit, and the kernel killed it with its supervisor"
        return _record("out_of_memory", code, detail)
    if (records.path / "overdue").exists():
        return _record((records.path / "overdue").read_text(), code, "it didn't end by itself and was killed")
    if records.stop_asked() is not None:
        return _record("stopped", code if state else None, "it was stopped before it ran")
    if state.get("Error"):
        return _record("launch_failed", None, str(state["Error"])[:1000])
    if state.get("ExitCode") in CANNOT_RUN and records.told("started") is None:
        return _record("launch_failed", None, NO_SHELL)
    return _record("lost", None, LOST)


def _record(cause: str, code: int | None, detail: str) -> Record:
    return {"cause": cause, "exit_code": code, "detail": detail, "usage": {"cpu_seconds": 0.0, "peak_memory": 0}}


def _told(record: Record | None) -> Record | None:
    """The supervisor's record where it is one: every value is of its kind, whoever wrote it."""
    if record is None or record.get("cause") not in _CAUSES:
        return None
    code, usage = record.get("exit_code"), record.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return {
        "cause": record["cause"],
        "exit_code": code if isinstance(code, int) and 0 <= code < 256 else None,
        "detail": str(record.get("detail", ""))[:1000],
        "ended_at": _number(record.get("ended_at")),
        "usage": {
            "cpu_seconds": _number(usage.get("cpu_seconds")),
            "peak_memory": int(_number(usage.get("peak_memory"))),
        },
    }


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e15 else 0.0


def ended(end: Record) -> Observation:
    """An ending as it was noted."""
    lost = end["cause"] == "lost"
    return Observation(
        WorkloadState.LOST if lost else WorkloadState.EXITED,
        started_at=_date(end["started_at"]),
        ended_at=_date(end["ended_at"]),
        exit_code=end["exit_code"],
        cause=None if lost else end["cause"],
        detail=end["detail"],
        address=end["address"],
        usage=Usage(end["usage"]["cpu_seconds"], end["usage"]["peak_memory"]),
    )


def _date(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
