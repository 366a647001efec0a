"""The platform's side of an import: starts the child, passes its progress on, and turns any end into a report."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common.manifests.pack import Packed
from common.threads import to_the_end
from dataset_svc.importing import annotated
from dataset_svc.importing.confinement import environment
from dataset_svc.importing.report import Report
from dataset_svc.importing.request import PACKS, ImportRequest, ImportResult, Progress

_COMMAND = (sys.executable, "-P", "-m", "dataset_svc.importing.child")
_LONGEST_LINE = 64 << 20
_LOG = 8 << 10
_GRACE = 30.0

Listener = Callable[[Progress], None]


async def import_archive(request: ImportRequest, on_progress: Listener | None = None) -> ImportResult:
    """Import an archive in a child process. Whatever the archive does, the result says how it ended.

    The results' folder is emptied first, so an import that was killed is simply begun again. Cancelling kills the
    child and removes what it made. Raises OSError only where the folder can't be made or no process be started.
    """
    await asyncio.to_thread(_prepare, request.out)
    process = await asyncio.create_subprocess_exec(
        *_COMMAND, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_LONGEST_LINE, env=environment()
    )
    result = None
    try:
        result = await _outcome(process, request, on_progress)
        return result
    finally:
        await _end(process)
        if result is None or not result.ok:
            with ThreadPoolExecutor(1) as beside:  # it may be large, and the loop has leases to keep
                await to_the_end(beside, shutil.rmtree, request.out / PACKS, ignore_errors=True)


async def _outcome(process: Process, request: ImportRequest, on_progress: Listener | None) -> ImportResult:
    """What the child tells, or what its end tells."""
    try:
        async with asyncio.timeout(request.limits.seconds + _GRACE):
            told, said, _ = await asyncio.gather(_listen(process, on_progress), _tail(process), _ask(process, request))
            status = await process.wait()
    except TimeoutError:
        return _failed("time_limit", f"The import took longer than {request.limits.seconds:g} seconds.")
    if isinstance(told, str):
        return _failed(told, _UNREADABLE[told], log=said)
    if status or told is None:
        return _failed(*_why(status), log=said)
    report = Report.from_json(told["report"])
    packed = await asyncio.to_thread(Packed.load, request.out / PACKS) if report.ok else None
    annotations = await asyncio.to_thread(_annotations, request, report)
    return ImportResult(report, packed, said, told["peak_memory"], annotations)


def _annotations(request: ImportRequest, report: Report) -> Packed | None:
    """The list of what is annotated, where the format has one."""
    folder = request.out / PACKS / annotated.FOLDER
    return Packed.load(folder) if report.ok and folder.exists() else None


async def _ask(process: Process, request: ImportRequest) -> None:
    """Send the request. The pipe stays open: its end is the child's end."""
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(request.as_json()).encode() + b"\n")
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return  # it died at once; its status says more


async def _listen(process: Process, on_progress: Listener | None) -> dict[str, Any] | str | None:
    """Pass progress on until the child ends; gives the last line, if that is the report, or the code of what is wrong
    with a line, after which the child is ended."""
    assert process.stdout is not None
    last: dict[str, Any] | None = None
    try:
        async for line in process.stdout:
            row = json.loads(line)
            if "report" in row:
                last = row
            elif on_progress is not None:
                on_progress(Progress(**row))
    except ValueError as error:  # of JSON, or of asyncio for a line that is too long
        if process.returncode is None:
            process.kill()
        return "import_crashed" if isinstance(error, json.JSONDecodeError) else "report_unreadable"
    return last


async def _tail(process: Process) -> str:
    """The end of what the child says on its standard error."""
    assert process.stderr is not None
    kept = b""
    while chunk := await process.stderr.read(_LOG):
        kept = (kept + chunk)[-_LOG:]
    return kept.decode(errors="replace")


async def _end(process: Process) -> None:
    """Make sure that the child is gone."""
    if process.returncode is None:
        process.kill()
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


def _why(status: int) -> tuple[str, str]:
    """Code and reason for a child that ended without a report. A negative status is a signal's number."""
    if status == -signal.SIGXCPU:
        return "time_limit", "The import used more computing time than it may."
    if status == -signal.SIGKILL:
        reason = (
            "The import was killed, most likely because it needed too much memory. Try again, or split the archive."
        )
        return "out_of_memory", reason
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return "import_crashed", (
        f"The program that checks archives crashed ({how}); a file in the archive is probably damaged. "
        "Pack it again; if it happens again, tell an administrator."
    )


_UNREADABLE = {
    "report_unreadable": "The report of this import is too large to be read: it has too many faults or classes with "
    "long names. Use shorter names; if it happens again, tell an administrator.",
    "import_crashed": "The program that checks archives said what nobody understands. Try again; if it happens again, "
    "tell an administrator: the log has details.",
}


def _failed(code: str, reason: str, log: str = "") -> ImportResult:
    report = Report()
    report.error(code, "", reason)
    return ImportResult(report, None, log)


def _prepare(out: Path) -> None:
    """An empty folder for the results."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
