"""What an import is asked for and what it gives, as they go between the service and its child process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from common.manifests.pack import Packed
from dataset_svc.archives.limits import Limits
from dataset_svc.formats.port import ContentLimits
from dataset_svc.importing.report import Report

PACK_BYTES = 256 << 20
PACKS = "packs"
"""The folder of packs within the folder of results."""


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """Limits of the child process: address space in bytes, open files, and the user it becomes where it is started
    as root (None: it stays who it is)."""

    memory: int = 2 << 30
    files: int = 64
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """An import: the archive, the folder for its results (emptied first), and what the content must be."""

    archive: Path
    out: Path
    format: str
    purpose: str
    limits: Limits = field(default_factory=Limits)
    content: ContentLimits = field(default_factory=ContentLimits)
    child: ChildLimits = field(default_factory=ChildLimits)
    pack_bytes: int = PACK_BYTES

    def as_json(self) -> dict[str, Any]:
        """The request for the child."""
        return {**asdict(self), "archive": str(self.archive), "out": str(self.out)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> ImportRequest:
        """Read what `as_json` gave."""
        return cls(
            Path(row["archive"]),
            Path(row["out"]),
            row["format"],
            row["purpose"],
            Limits(**row["limits"]),
            ContentLimits(**row["content"]),
            ChildLimits(**row["child"]),
            row["pack_bytes"],
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is. `bytes` of `total_bytes` of the archive are read, `files` of `total_files` checked;
    `rate` is bytes of the archive a second since the start. `overall` is the part of the whole import that is done,
    from 0 to 1, and `reason` says why it waits: the platform's side knows these, not the child."""

    phase: str
    bytes: int
    total_bytes: int
    files: int
    total_files: int
    rate: float
    overall: float = 0.0
    reason: str = ""

    @classmethod
    def noted(cls, row: Mapping[str, Any]) -> Progress:
        """From what an instance noted, be it of an earlier version of this service or of a later one."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__ if name in row})


@dataclass(frozen=True, slots=True)
class ImportResult:
    """How an import ended. `packed` is there only where `ok`; `log` is what the child said on its standard error
    (for operators), `annotations` the list of what is annotated where there is one, `peak_memory` its largest resident
    set in bytes, where it lived to tell."""

    report: Report
    packed: Packed | None
    log: str = ""
    peak_memory: int = 0
    annotations: Packed | None = None

    @property
    def ok(self) -> bool:
        """Whether the version may be taken over."""
        return self.packed is not None

    @property
    def code(self) -> str:
        """The stable code of the first error, empty where it went well."""
        fault = self.report.first_error()
        return fault.code if fault else ""

    @property
    def reason(self) -> str:
        """Why it failed in one sentence that names the file, empty where it went well."""
        fault = self.report.first_error()
        if fault is None:
            return ""
        return f"{fault.file}: {fault.reason}" if fault.file else fault.reason
