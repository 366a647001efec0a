"""The import itself: members stream from the archive through the checks into packs, in one pass."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from common.disk import telling_when_full
from common.kernel.errors import Problem
from common.manifests.pack import PackWriter
from dataset_svc.archives import Archive, ArchiveRefused, Finding, Limits, Member, open_archive
from dataset_svc.formats import Checker, ContentLimits, get_format
from dataset_svc.importing import annotated
from dataset_svc.importing.report import Report
from dataset_svc.importing.request import PACK_BYTES, Progress

_PROGRESS_EVERY = 0.25
_TOLD = (ArchiveRefused, Problem, OSError)
"""What says itself why an import fails."""

_log = logging.getLogger(__name__)

Listener = Callable[[Progress], None]


def run_import(
    archive: Path | int,
    out: Path,
    *,
    format: str,
    purpose: str,
    limits: Limits | None = None,
    content: ContentLimits | None = None,
    pack_bytes: int = PACK_BYTES,
    progress: Listener | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Check `archive` (a path or an open descriptor) and pack its files into `out`.

    Everything that is wrong is in the report; nothing is raised but Invalid for a format or purpose that doesn't
    exist. The packs are of use only where the report is `ok`.
    """
    report = Report()
    checker = get_format(format).checker(purpose, report, content or ContentLimits())
    writer = PackWriter(out, pack_bytes=pack_bytes)
    try:
        _Run(report, checker, writer, limits or Limits(), progress, clock, out, pack_bytes).archive(archive)
    except ArchiveRefused as refused:
        _tell(report, refused.finding)
    except Problem as problem:
        report.error(problem.code, problem.faults[0].where if problem.faults else "", problem.detail)
    except OSError as error:
        report.error("archive_unreadable", "", f"The archive can't be read: {error.strerror}. Upload it again.")
    except MemoryError:
        report.error("out_of_memory", "", "The import needed more memory than it may have. Split the archive.")
    finally:
        writer.close()
    return report


class _Run:
    """One import under way."""

    def __init__(
        self,
        report: Report,
        checker: Checker,
        writer: PackWriter,
        limits: Limits,
        progress: Listener | None,
        clock: Callable[[], float],
        out: Path,
        pack_bytes: int,
    ) -> None:
        self._out, self._pack_bytes = out, pack_bytes
        self._report, self._checker, self._writer = report, checker, writer
        self._limits, self._progress, self._clock = limits, progress, clock
        self._archive: Archive | None = None
        self._files = 0
        self._began = self._told = clock()

    def archive(self, path: Path | int) -> None:
        """Check and pack everything. Raises what `run_import` makes faults of."""
        self._tell("checking", 0)
        archive = open_archive(path, self._limits, report=lambda found: _tell(self._report, found), tick=self._tick)
        self._archive = archive
        try:
            for folder in archive.folders:
                with self._telling(folder):
                    self._checker.folder(folder)
            self._members(archive)
        finally:
            archive.close()
        if not archive.files:
            self._report.error("empty_archive", "", "The archive has no files. Pack the dataset's files into it.")
        self._report.summary = {"files": archive.files, "bytes": archive.bytes}
        with self._telling(""):
            self._report.summary |= self._checker.finish()
        if self._report.ok:
            self._finish(archive.length)

    def _members(self, archive: Archive) -> None:
        """Check every file, and pack it as long as nothing is wrong: a failed import needs no packs."""
        report, check, add = self._report, self._checker.whole, self._writer.add_bytes
        for member in archive.members():
            data = member.data
            if data is None:
                self._large(member)
            else:
                try:  # what `_telling` does, but without one of its contexts for each of a million small files
                    check(member.path, data)
                except _TOLD:
                    raise
                except Exception as error:  # noqa: BLE001 - it is logged and told
                    _log.exception("the checker failed on %r", member.path)
                    self._failed(member.path, error)
                if not report.errors:
                    add(member.path, data)
            self._files += 1

    @contextmanager
    def _telling(self, file: str) -> Iterator[None]:
        """Whatever a checker raises there is a fault of that file."""
        try:
            yield
        except _TOLD:
            raise
        except Exception as error:  # noqa: BLE001 - it is logged and told
            _log.exception("the checker failed on %r", file)
            self._failed(file, error)

    def _failed(self, file: str, error: Exception) -> None:
        """A checker has failed, which it never should; what is wrong with other files is told all the same."""
        if isinstance(error, MemoryError):
            what, todo = ("Checking this", "it, or leave it out") if file else ("Summing all files up", "the archive")
            reason = f"{what} needed more memory than an import may have. Split {todo}."
            return self._report.error("out_of_memory", file, reason)
        what = "This" if file else "What the files are together"
        reason = f"{what} could not be checked ({type(error).__name__}: {error})."
        return self._report.error("checker_failed", file, f"{reason} Tell the administrator; the log has details.")

    def _large(self, member: Member) -> None:
        """Check and pack a file while it streams."""
        content = member.chunks()
        try:
            with self._telling(member.path):
                chunks = self._checker.stream(member.path, member.size, content)
                if self._report.ok:
                    self._writer.add(member.path, chunks)
                deque(chunks, maxlen=0)
            deque(content, maxlen=0)  # what a checker that failed has left
        except ArchiveRefused as refused:
            _tell(self._report, refused.finding)
            if refused.finding.code == "time_limit":
                raise

    def _finish(self, length: int) -> None:
        """Write the index."""
        self._tell("indexing", length)
        with self._telling(""):
            annotated.write(self._checker, self._out, self._pack_bytes)
        if not self._report.ok:
            return
        with telling_when_full("the packed files"):
            packed = self._writer.finish()
        self._report.digest, self._report.files, self._report.bytes = packed.digest, packed.files, packed.bytes

    def _tick(self, position: int) -> None:
        """Called about once a MiB. Raises ArchiveRefused (`time_limit`)."""
        now = self._clock()
        if now - self._began > self._limits.seconds:
            raise ArchiveRefused("time_limit", "", f"The import took longer than {self._limits.seconds:g} seconds.")
        if now - self._told >= _PROGRESS_EVERY:
            self._tell("importing" if self._archive else "checking", position)

    def _tell(self, phase: str, position: int) -> None:
        """Tell the listener."""
        if self._progress is None:
            return
        self._told = now = self._clock()
        archive, spent = self._archive, now - self._began
        length, total = (archive.length, archive.files) if archive else (0, 0)
        self._progress(Progress(phase, position, length, self._files, total, position / spent if spent > 0 else 0.0))


def _tell(report: Report, finding: Finding) -> None:
    """An archive's finding is always an error: nobody should train on part of a dataset."""
    report.error(*finding)
