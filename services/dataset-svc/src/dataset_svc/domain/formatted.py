"""Formatted sets: a fraction of a dataset version in one format, ready to train on (seed 001, row D9).

A set is cut from its version by the rule by which a job cuts it (row D8), so the set of 80 % and its complement of
20 % never share a file and together have all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from common.contracts.shared import ManifestRef
from common.kernel.states import Transitions
from dataset_svc.domain.dataset import Dataset
from dataset_svc.domain.taxonomy import Part


class SetState(StrEnum):
    """`queued`, `building`, then `ready` or `failed`; `deleted` is a tombstone for lineage."""

    QUEUED = "queued"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"
    DELETED = "deleted"


TRANSITIONS = Transitions(
    "formatted set",
    SetState.QUEUED,
    {
        (SetState.QUEUED, "begin"): SetState.BUILDING,
        (SetState.BUILDING, "begin"): SetState.BUILDING,
        (SetState.BUILDING, "succeed"): SetState.READY,
        (SetState.BUILDING, "fail"): SetState.FAILED,
        (SetState.QUEUED, "delete"): SetState.DELETED,
        (SetState.BUILDING, "delete"): SetState.DELETED,
        (SetState.READY, "delete"): SetState.DELETED,
        (SetState.FAILED, "delete"): SetState.DELETED,
    },
    final=[SetState.DELETED],
)

OPEN = (SetState.QUEUED, SetState.BUILDING)


class Side(StrEnum):
    """Which files of the version: all, those for training, or those that are held out for testing."""

    ALL = "all"
    TRAIN = "train"
    HELD_OUT = "held_out"

    @property
    def other(self) -> Side:
        """The side of the complement."""
        return {Side.TRAIN: Side.HELD_OUT, Side.HELD_OUT: Side.TRAIN}.get(self, self)


@dataclass(frozen=True)
class Cut:
    """How a set is cut: the part for training (0 to 1, exclusive; None with side `all`), the seed, and the side."""

    side: Side = Side.ALL
    ratio: float | None = None
    seed: int = 0

    @property
    def share(self) -> float:
        """What part of the version it is, from 0 to 1."""
        if self.ratio is None:
            return 1.0
        return self.ratio if self.side == Side.TRAIN else round(1 - self.ratio, 12)

    @property
    def complement(self) -> Cut | None:
        """The rest of the version; None where it has all."""
        return None if self.side == Side.ALL else replace(self, side=self.side.other)


@dataclass(frozen=True)
class Origin:
    """What it was cut from, kept for lineage also when that is gone. `format` is how the dataset is arranged."""

    dataset_id: str
    dataset_name: str
    number: int
    digest: str
    part: Part
    media: str
    classes: Mapping[str, int]
    manifest: ManifestRef
    describing: tuple[str, ...] = ()
    annotations: ManifestRef | None = None
    purpose: str = ""
    format: str = ""

    @property
    def has_objects(self) -> bool:
        """Whether what is annotated in its files is more than the class of each."""
        return bool(self.purpose) and not self.purpose.endswith("/classification")


@dataclass(frozen=True)
class FormattedSet:
    """One formatted set. `classes` counts its own records by class, in the order of their labels; `annotations` is the
    list of what is annotated in them, where they are files as in their dataset. `reason` is why it has failed, or for
    what it waits."""

    id: str
    name: str
    owner: str
    format: str
    origin: Origin
    cut: Cut
    created_at: datetime
    updated_at: datetime
    state: SetState = SetState.QUEUED
    version: int = 1
    complement_id: str | None = None
    manifest: ManifestRef | None = None
    annotations: ManifestRef | None = None
    records: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    code: str = ""
    reason: str = ""
    ended_at: datetime | None = None

    @property
    def deleted(self) -> bool:
        """Whether only its tombstone is left."""
        return self.state == SetState.DELETED

    def shared_with(self, dataset: Dataset) -> bool:
        """Whether all may see and train on it: one that the owner of a dataset that all see made of it (seed 001: the
        platform brings the sets of its public datasets)."""
        return self.state == SetState.READY and dataset.shared and self.owner == dataset.owner

    def begun(self) -> FormattedSet:
        """Being built; one that was killed with the platform is begun again. Raises Conflict (`illegal_state`)."""
        return self._moved("begin", reason="")

    def waits(self, reason: str) -> FormattedSet:
        """Still to be built, which can't be done now; `reason` says why."""
        return replace(self, reason=reason)

    def succeeded(
        self,
        manifest: ManifestRef,
        classes: dict[str, int],
        records: int,
        now: datetime,
        annotations: ManifestRef | None = None,
    ) -> FormattedSet:
        """Ready to train on."""
        done = self._moved("succeed", manifest=manifest, annotations=annotations, ended_at=now)
        return replace(done, classes=classes, records=records)

    def failed(self, code: str, reason: str, now: datetime) -> FormattedSet:
        """It can't be made."""
        return replace(self._moved("fail"), code=code, reason=reason, ended_at=now)

    def buried(self) -> FormattedSet:
        """Only a tombstone from now on. Raises Conflict (`illegal_state`) where it is one already."""
        return self._moved("delete")

    def _moved(self, verb: str, **changes: Any) -> FormattedSet:
        return replace(self, state=TRANSITIONS.move(self.state, verb), **changes)


def default_name(dataset: str, format: str, cut: Cut) -> str:
    """What a set is called where nobody says: `digits 80% lmdb`, at most 100 characters."""
    share = "" if cut.side == Side.ALL else f" {cut.share * 100:.4g}%"
    ending = f"{share} {format}"
    return dataset[: 100 - len(ending)] + ending
