"""The child process of an import: `python -m dataset_svc.importing.child`.

Its standard input is one line, the request as JSON, and then stays open: when it ends, the platform is gone and so is
the child. On standard output it says its progress as JSON lines, and last the report.
"""

from __future__ import annotations

import codecs
import json
import os
import resource
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from common.kernel.errors import Problem
from dataset_svc.archives import prepare
from dataset_svc.formats import get_format
from dataset_svc.importing.confinement import confine
from dataset_svc.importing.report import Report
from dataset_svc.importing.request import PACKS, ImportRequest, Progress
from dataset_svc.importing.run import run_import

_ORPHANED = 3
_CPU_GRACE = 60
_STACK = 256 << 10


def main() -> int:
    """Do one import; gives the exit status, 0 where the report was told, whatever it says."""
    request = ImportRequest.from_json(json.loads(sys.stdin.buffer.readline()))
    _die_with_parent()
    report = Report()
    try:
        _preload(request)
        archive = os.open(request.archive, os.O_RDONLY)
        prepare(archive)
        os.chdir(request.out)
        confine(request.child, int(request.limits.seconds) + _CPU_GRACE, ".")
        report = _import(archive, request)
    except Problem as problem:
        report.error(problem.code, "", problem.detail)
    except OSError as error:
        report.error("archive_unreadable", "", f"The archive can't be opened: {error.strerror}. Upload it again.")
    except MemoryError:
        report.error("out_of_memory", "", "There is too little memory to begin. Tell an administrator.")
    _say({"report": report.as_json(), "peak_memory": _peak_memory()})
    return 0


def _import(archive: int, request: ImportRequest) -> Report:
    """Run the import on an open archive, into the present folder."""
    return run_import(
        archive,
        Path(PACKS),
        format=request.format,
        purpose=request.purpose,
        limits=request.limits,
        content=request.content,
        pack_bytes=request.pack_bytes,
        progress=_say_progress,
    )


def _die_with_parent() -> None:
    """End as soon as nobody holds the other end of the standard input."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os._exit(_ORPHANED)

    threading.stack_size(_STACK)
    threading.Thread(target=wait, daemon=True).start()


def _preload(request: ImportRequest) -> None:
    """Load all code that the import needs, since the user that the child becomes may not be able to read it."""
    get_format(request.format).checker(request.purpose, Report(), request.content)
    for encoding in ("ascii", "utf-8", "gb18030"):
        codecs.getincrementaldecoder(encoding)


def _say_progress(progress: Progress) -> None:
    _say(asdict(progress))


def _say(row: dict[str, Any]) -> None:
    """One JSON line to the platform."""
    line = json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace")  # a half of a character: "\ud800"
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()


def _peak_memory() -> int:
    """The largest resident set so far, in bytes. The kernel's own figure (getrusage) may be that of the process that
    this one was forked from, so it serves only where there is no /proc."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) << 10
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


if __name__ == "__main__":
    sys.exit(main())
