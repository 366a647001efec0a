"""A dataset on its way from empty to online and, in the end, to a tombstone (seed 002 §2.1)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from common.contracts.dataset import DatasetSnapshot
from common.contracts.shared import Visibility
from common.kernel.states import Transitions
from dataset_svc.domain.errors import DatasetEmpty, DatasetNotEmpty, DatasetStillOnline
from dataset_svc.domain.taxonomy import Part, TestMode, held_as
from dataset_svc.domain.versions import Content, Version, combined_digest
from dataset_svc.formats import format_names, get_format


class DatasetState(StrEnum):
    """`empty`: no version yet; `ready`: has one, offline; `online`: can be used; `deleted`: a tombstone."""

    EMPTY = "empty"
    READY = "ready"
    ONLINE = "online"
    DELETED = "deleted"


TRANSITIONS = Transitions(
    "dataset",
    DatasetState.EMPTY,
    {
        (DatasetState.EMPTY, "take a version"): DatasetState.READY,
        (DatasetState.READY, "take a version"): DatasetState.READY,
        (DatasetState.ONLINE, "take a version"): DatasetState.ONLINE,
        (DatasetState.READY, "go online"): DatasetState.ONLINE,
        (DatasetState.ONLINE, "go offline"): DatasetState.READY,
        (DatasetState.EMPTY, "delete"): DatasetState.DELETED,
        (DatasetState.READY, "delete"): DatasetState.DELETED,
    },
    final=[DatasetState.DELETED],
)


@dataclass(frozen=True)
class Dataset:
    """One dataset. `parts` is what was imported last for each part; `current` the newest version made of them."""

    id: str
    name: str
    owner: str
    purpose: str
    annotation: str
    format: str
    test_mode: TestMode
    created_at: datetime
    updated_at: datetime
    description: str = ""
    visibility: Visibility = Visibility.PRIVATE
    state: DatasetState = DatasetState.EMPTY
    version: int = 1
    parts: dict[Part, Content] = field(default_factory=dict)
    current: Version | None = None

    @property
    def online(self) -> bool:
        """Whether it can be used anywhere else (row D6)."""
        return self.state == DatasetState.ONLINE

    @property
    def shared(self) -> bool:
        """Whether others than the owner may see and use it (row D7)."""
        return self.online and self.visibility != Visibility.PRIVATE

    @property
    def deleted(self) -> bool:
        """Whether only its tombstone is left."""
        return self.state == DatasetState.DELETED

    @property
    def untouched(self) -> bool:
        """Whether nothing was ever imported into it, so that even what it is for may change."""
        return self.state == DatasetState.EMPTY and not self.parts

    def taking(self, part: Part, content: Content, version_id: str, now: datetime) -> Dataset:
        """With the content of a successful import.

        A new version is made as soon as all parts are there, but only where the content is another: importing the
        same files again leaves everything as it is. Raises Conflict (`illegal_state`).
        """
        if part in self.parts and self.parts[part].digest == content.digest:
            return self
        parts = {**self.parts, part: content}
        train, test = parts.get(Part.TRAIN), parts.get(Part.TEST)
        if train is None or (test is None and self.test_mode == TestMode.INDEPENDENT):
            return replace(self, parts=parts)
        if self.current is not None and self.current.digest == combined_digest(train, test):
            return replace(self, parts=parts)
        number = self.current.number + 1 if self.current else 1
        version = Version(version_id, self.id, number, now, train, test)
        return replace(self._moved("take a version"), parts=parts, current=version)

    def missing_parts(self) -> tuple[Part, ...]:
        """The parts that must still be imported before there can be a version."""
        wanted = (Part.TRAIN, Part.TEST) if self.test_mode == TestMode.INDEPENDENT else (Part.TRAIN,)
        return tuple(part for part in wanted if part not in self.parts)

    def put_online(self) -> Dataset:
        """Let it be used. Raises Conflict (`dataset_empty`, `illegal_state`)."""
        if self.state == DatasetState.EMPTY:
            raise DatasetEmpty(self.id, [str(part) for part in self.missing_parts()])
        return self._moved("go online")

    def taken_offline(self) -> Dataset:
        """Let nobody choose it any more; what runs keeps what it holds. Raises Conflict (`illegal_state`)."""
        return self._moved("go offline")

    def buried(self) -> Dataset:
        """Only a tombstone from now on: name, digests. Raises Conflict (`dataset_online`, `illegal_state`)."""
        if self.online:
            raise DatasetStillOnline(self.id)
        return self._moved("delete")

    def edited(self, importing: bool, **changes: Any) -> Dataset:
        """With these fields changed. What it is for and how it is arranged can change only while nothing was imported
        and nothing is being imported. Raises Conflict (`dataset_not_empty`)."""
        fixed = [name for name in ("purpose", "annotation", "format", "test_mode") if self._changes(name, changes)]
        if fixed and (importing or not self.untouched):
            raise DatasetNotEmpty(self.id, fixed)
        return replace(self, **changes)

    def _changes(self, name: str, changes: dict[str, Any]) -> bool:
        return name in changes and changes[name] != getattr(self, name)

    def _moved(self, verb: str) -> Dataset:
        return replace(self, state=TRANSITIONS.move(self.state, verb))

    def facts(self) -> dict[str, Any]:
        """The fields of the snapshot that others keep."""
        known = {name: getattr(self, name) for name in DatasetSnapshot.model_fields if name != "version"}
        return {**known, "version": self.current.fact() if self.current else None}

    @property
    def held_as(self) -> str:
        """The purpose whose checks hold for it (see `taxonomy.held_as`)."""
        known = get_format(self.format).purposes if self.format in format_names() else ()
        return held_as(self.purpose, self.annotation, known)

    @property
    def describing(self) -> tuple[str, ...]:
        """What the names of files end with that only describe its samples."""
        return get_format(self.format).describing(self.held_as) if self.format in format_names() else ()

    def snapshot(self) -> DatasetSnapshot:
        """The dataset whole, as others need it."""
        return DatasetSnapshot(**self.facts())
