"""What an import's report says."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from dataset_svc.schemas.details import FiguresOut
from dataset_svc.schemas.passing import DescribedBy


class FaultOut(BaseModel):
    """One fault: an error fails the import, a warning doesn't. `file` is one within the archive, and empty for the
    archive itself; `line` is left out where there is none."""

    severity: Literal["error", "warning"]
    code: str
    file: str
    reason: str
    line: int | None = Field(default=None, description="From 1")


class TotalsOut(BaseModel):
    """How many faults there are, those that are not listed included."""

    errors: int
    warnings: int


class SummaryOut(FiguresOut):
    """What was in the archive: how many files, or rows, are of each class, and figures of the content."""

    classes: dict[str, int] = Field(default_factory=dict)


class ReportOut(BaseModel):
    """What a check of an archive found: its first 1,000 faults, errors first where not all are kept. `digest`, `files`
    and `bytes` are those of the version that it became."""

    ok: bool
    faults: list[FaultOut]
    totals: TotalsOut
    summary: SummaryOut
    digest: str
    files: int
    bytes: int


Report = Annotated[dict[str, Any], DescribedBy(ReportOut)]
