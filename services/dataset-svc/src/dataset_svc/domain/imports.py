"""Imports: one archive on its way into one dataset. Those of one dataset run one after the other (row D2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from common.kernel.errors import Invalid
from common.kernel.states import Transitions
from dataset_svc.domain.taxonomy import Part


class ImportState(StrEnum):
    """`queued`, `running`, and then for good `succeeded`, `failed` or `cancelled`."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TRANSITIONS = Transitions(
    "import",
    ImportState.QUEUED,
    {
        (ImportState.QUEUED, "start"): ImportState.RUNNING,
        (ImportState.RUNNING, "start"): ImportState.RUNNING,
        (ImportState.QUEUED, "cancel"): ImportState.CANCELLED,
        (ImportState.RUNNING, "cancel"): ImportState.CANCELLED,
        (ImportState.RUNNING, "succeed"): ImportState.SUCCEEDED,
        (ImportState.RUNNING, "fail"): ImportState.FAILED,
    },
    final=[ImportState.SUCCEEDED, ImportState.FAILED, ImportState.CANCELLED],
)

ACTIVE = (ImportState.QUEUED, ImportState.RUNNING)


@dataclass(frozen=True)
class Import:
    """One import. `archive` is the key of the uploaded archive, of `size` bytes; `name` its file's name.

    With `source_id` the archive is made of what lies in that source below `prefix`, and `size` is 0.
    `report` is what the check found, `code` and `reason` why it failed. `version_number` is the version that the
    dataset has by it, `unchanged` says that it had the same content before.
    `sha256` is the archive's in hex where it is known; `direct`: it came
    straight to the file store, so nobody has held it against that before it is read.
    """

    id: str
    name: str
    owner: str
    dataset_id: str
    part: Part
    upload_id: str
    archive: str
    size: int
    requested_by: str
    created_at: datetime
    updated_at: datetime
    state: ImportState = ImportState.QUEUED
    version: int = 1
    started_at: datetime | None = None
    ended_at: datetime | None = None
    code: str = ""
    reason: str = ""
    report: dict[str, Any] | None = None
    version_number: int | None = None
    unchanged: bool = False
    source_id: str | None = None
    prefix: str = ""
    sha256: str | None = None
    direct: bool = False

    @property
    def active(self) -> bool:
        """Whether it is still to be done."""
        return self.state in ACTIVE

    @property
    def to_be_hashed(self) -> bool:
        """Whether its uploaded archive was neither held against a SHA-256 nor has one that was computed."""
        return self.source_id is None and (self.direct or self.sha256 is None)

    def begun(self, now: datetime) -> Import:
        """Running; one that was killed with the platform is begun again. Raises Conflict (`illegal_state`)."""
        return replace(self._moved("start"), started_at=self.started_at or now)

    def cancelled(self, now: datetime) -> Import:
        """Given up. Raises Conflict (`illegal_state`) once it has ended."""
        return replace(self._moved("cancel"), ended_at=now)

    def succeeded(self, now: datetime, report: dict[str, Any], number: int | None, *, unchanged: bool) -> Import:
        """Ended well. `number` is None as long as the other part is missing."""
        done = self._moved("succeed")
        return replace(done, ended_at=now, report=report, version_number=number, unchanged=unchanged)

    def held_against(self, sha256: str) -> Import:
        """Its archive was read, and has that SHA-256. Raises Invalid (`checksum_mismatch`)."""
        if self.sha256 is not None and self.sha256.lower() != sha256:
            detail = f"{self.name} arrived with SHA-256 {sha256} instead of {self.sha256}. Upload it again."
            raise Invalid("checksum_mismatch", detail)
        return replace(self, sha256=sha256)

    def failed(self, now: datetime, code: str, reason: str, report: dict[str, Any] | None) -> Import:
        """Ended badly."""
        return replace(self._moved("fail"), ended_at=now, code=code, reason=reason, report=report)

    def _moved(self, verb: str) -> Import:
        return replace(self, state=TRANSITIONS.move(self.state, verb))


def due(active: Iterable[Import], at_work: Collection[str], resting: Collection[str], at_once: int) -> list[Import]:
    """Which imports to start now, the oldest first: one at a time of each dataset, at most `at_once` in all.

    `at_work` are the ids of those that are being worked at; one that is `running` in no hands goes before queued ones.
    `resting` are those that failed a moment ago: others have their turn, but for later ones of the same dataset.
    """
    waiting = list(active)
    taken = {item.dataset_id for item in waiting if item.id in at_work or item.id in resting}
    chosen: list[Import] = []
    for item in sorted(waiting, key=lambda item: (item.state != ImportState.RUNNING, item.id)):
        if len(at_work) + len(chosen) >= at_once:
            break
        if item.dataset_id not in taken:
            taken.add(item.dataset_id)
            chosen.append(item)
    return chosen
