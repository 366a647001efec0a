"""Versions: immutable, numbered in the order of their making, named by the digest of what they hold (row D12)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from common.contracts.dataset import DatasetVersion
from common.contracts.shared import ManifestRef
from dataset_svc.domain.taxonomy import Part


@dataclass(frozen=True)
class Sample:
    """One file of a dataset: path, class, size in bytes, SHA-256 in hex."""

    path: str
    label: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Content:
    """What one import brought: its files, how many of each class, figures of the content, and a few samples.

    `annotations` is the list of what is annotated in them, where the folder of a file doesn't say it all; `noted`,
    whether it also says what a split goes by, which imports of old did not."""

    import_id: str
    manifest: ManifestRef
    classes: dict[str, int] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    preview: tuple[Sample, ...] = ()
    annotations: ManifestRef | None = None
    noted: bool = False

    @property
    def split_by(self) -> ManifestRef | None:
        """The list that a split goes by; None where it goes by folders."""
        return self.annotations if self.noted else None

    @property
    def digest(self) -> str:
        """The content digest: the same files give the same one, however they were packed."""
        return self.manifest.digest


@dataclass(frozen=True)
class Version:
    """A training set, and a test set where that is independent. It never changes once it is made, but for what people
    call it: `name` and `description`."""

    id: str
    dataset_id: str
    number: int
    created_at: datetime
    train: Content
    test: Content | None = None
    name: str = ""
    description: str = ""

    @property
    def digest(self) -> str:
        """The digest of both parts together; that of the training set where it is alone."""
        return combined_digest(self.train, self.test)

    @property
    def files(self) -> int:
        """How many files it has."""
        return sum(part.manifest.files for part in self.contents)

    @property
    def bytes(self) -> int:
        """How many bytes its files have."""
        return sum(part.manifest.bytes for part in self.contents)

    @property
    def contents(self) -> tuple[Content, ...]:
        """Its parts."""
        return (self.train,) if self.test is None else (self.train, self.test)

    def part(self, part: Part) -> Content | None:
        """The training set, or the independent test set where there is one."""
        return self.train if part == Part.TRAIN else self.test

    def classes(self) -> dict[str, int]:
        """Files of each class, in all parts together, by name."""
        names = sorted({name for part in self.contents for name in part.classes})
        return {name: sum(part.classes.get(name, 0) for part in self.contents) for name in names}

    def fact(self) -> DatasetVersion:
        """The version as others know it."""
        return DatasetVersion(
            id=self.id,
            number=self.number,
            digest=self.digest,
            train=self.train.manifest,
            test=self.test.manifest if self.test is not None else None,
            classes=tuple(self.classes()),
            annotations=self.train.split_by,
        )


def combined_digest(train: Content, test: Content | None) -> str:
    """The digest that names a version (`sha256:` and 64 hex digits)."""
    if test is None:
        return train.digest
    both = f"{train.digest}\n{test.digest}\n"
    return f"sha256:{hashlib.sha256(both.encode()).hexdigest()}"
