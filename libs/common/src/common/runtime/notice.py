"""The notice that a workload finds when it is to give way: a file beside the signal, for code that looks between steps.

It is one line of JSON, `{"reason": "preempted", "deadline": "2026-01-01T00:00:30+00:00"}`, there whole or not at all.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

VARIABLE = "YARD_PREEMPT_FILE"
NAME = "preempt.json"


def leave_notice(folder: Path, reason: str, grace: float) -> None:
    """Write it, unless it is there: a deadline that was told does not move.

    Where no room is left on the disk the signal alone must do.
    """
    path = folder / NAME
    if path.exists():
        return
    deadline = datetime.now(UTC) + timedelta(seconds=grace)
    draft = folder / f"{NAME}.{os.getpid()}.tmp"
    try:
        draft.write_text(json.dumps({"reason": reason, "deadline": deadline.isoformat(timespec="seconds")}) + "\n")
        draft.chmod(0o444)
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
