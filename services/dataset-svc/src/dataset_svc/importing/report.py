"""The report of an import: what is wrong with which file, and what was in the archive."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

KEPT = 1_000
"""Faults that a report lists; the others are only counted."""

_LONGEST_TEXT = 1_024


@dataclass(frozen=True, slots=True)
class ReportFault:
    """One fault: `file` within the archive (empty for the archive itself), `line` where there is one."""

    severity: Literal["error", "warning"]
    code: str
    file: str
    reason: str
    line: int | None = None


@dataclass(slots=True)
class Report:
    """Collects faults while an import runs, and is its result.

    `digest`, `files` and `bytes` are those of the packed version, and say something only where `ok`.
    """

    faults: list[ReportFault] = field(default_factory=list)
    errors: int = 0
    warnings: int = 0
    summary: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    files: int = 0
    bytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing has been found that fails the import."""
        return not self.errors

    def error(self, code: str, file: str, reason: str, line: int | None = None) -> None:
        """Add a fault that fails the import. Errors come before warnings where not all can be kept."""
        self.errors += 1
        if self.warnings and self.errors <= KEPT <= len(self.faults):  # behind so many errors no warning is left
            self._drop_a_warning()
        self._keep(ReportFault("error", code, _shown(file), _shown(reason), line))

    def warning(self, code: str, file: str, reason: str, line: int | None = None) -> None:
        """Add a fault that doesn't fail the import."""
        self.warnings += 1
        self._keep(ReportFault("warning", code, _shown(file), _shown(reason), line))

    def first_error(self) -> ReportFault | None:
        """The error by which a failed import is named."""
        return next((fault for fault in self.faults if fault.severity == "error"), None)

    def as_json(self) -> dict[str, Any]:
        """The report as it is stored and answered."""
        return {
            "ok": self.ok,
            "faults": [
                {key: value for key, value in asdict(fault).items() if value is not None} for fault in self.faults
            ],
            "totals": {"errors": self.errors, "warnings": self.warnings},
            "summary": self.summary,
            "digest": self.digest,
            "files": self.files,
            "bytes": self.bytes,
        }

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Report:
        """Read what `as_json` gave. Raises KeyError, TypeError for anything else."""
        faults = [ReportFault(**fault) for fault in row["faults"]]
        totals = row["totals"]
        return cls(
            faults, totals["errors"], totals["warnings"], row["summary"], row["digest"], row["files"], row["bytes"]
        )

    def _keep(self, fault: ReportFault) -> None:
        if len(self.faults) < KEPT:
            self.faults.append(fault)

    def _drop_a_warning(self) -> None:
        """Make room for an error."""
        for place in range(len(self.faults) - 1, -1, -1):
            if self.faults[place].severity == "warning":
                del self.faults[place]
                return


def _shown(text: str) -> str:
    """A member's name, or a reason that quotes one, as it can stand in JSON and on a screen."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
