"""What a job trains and validates on: a part of a dataset's version, or a formatted set of one (seed 001, row D9).

They may come from different datasets, so what they have in common, and what not, is told to whoever asks for the job.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from common.contracts.dataset import DatasetSnapshot, FormattedSetFacts
from common.contracts.shared import ManifestRef

RAW = "raw"
"""The format of sets whose files are those of the dataset, arranged as there."""

INDEPENDENT = "independent"
"""The test mode of a dataset that brings a test set of its own (seed 002 §2.1.1)."""

_SHOWN = 5
"""Names in a note; of more, their number is told."""

Part = Literal["train", "test"]


@dataclass(frozen=True)
class SplitRequest:
    """The part that trains (0 to 1, exclusive), and the seed that picks it (row D8)."""

    ratio: float = 0.8
    seed: int = 0


@dataclass(frozen=True)
class ValidationRequest:
    """What to validate on: a part of a dataset (of that version, else of the present one), or a formatted set."""

    dataset_id: str | None = None
    version: int | None = None
    part: Part = "train"
    formatted_set_id: str | None = None


ONE_FILE = "single_text"
"""The format of datasets whose samples are lines of one file."""


@dataclass(frozen=True)
class Cut:
    """Which files of `content` (a digest): `all`, or the side `train` or `held_out` of a split, which went by what the
    list `by` (a digest) says of samples."""

    content: str
    side: str = "all"
    ratio: float | None = None
    seed: int = 0
    by: str = ""

    def excludes(self, other: Cut) -> bool:
        """Whether no file can be in both: they are the two sides of one split."""
        same = (self.content, self.ratio, self.seed, self.by) == (other.content, other.ratio, other.seed, other.by)
        return same and {self.side, other.side} == {"train", "held_out"}

    def covers(self, other: Cut) -> bool:
        """Whether every file of the other is surely in this one."""
        return self.content == other.content and (self.side == "all" or self == other)


@dataclass(frozen=True)
class Material:
    """Files to train or validate on: a `part` of the version that `dataset` has; `formatted` is the set of it, where it
    is one."""

    dataset: DatasetSnapshot
    formatted: FormattedSetFacts | None = None
    part: Part = "train"

    @property
    def manifest(self) -> ManifestRef | None:
        """Its files; None where there is no such part, or no version."""
        return self.formatted.manifest if self.formatted is not None else self._source(self.part)

    @property
    def annotations(self) -> ManifestRef | None:
        """The list of what is annotated in its files, by which they are split; None where folders tell the classes."""
        if self.formatted is not None:
            return self.formatted.annotations
        version = self.dataset.version
        return version.annotations if version is not None and self.part == "train" else None

    @property
    def test(self) -> ManifestRef | None:
        """The independent test set that comes with it."""
        return self._source("test") if self.formatted is None and self.part == "train" else None

    @property
    def brings_test(self) -> bool:
        """Whether there is nothing to split because it comes with a test set."""
        return self.formatted is None and self.dataset.test_mode == INDEPENDENT

    @property
    def unparted(self) -> bool:
        """Whether all its samples are in one file, and nothing tells where in it they begin."""
        return self.format == ONE_FILE and self.annotations is None

    @property
    def of_records(self) -> bool:
        """Whether its samples are records in files of a framework's format."""
        return self.formatted is not None and self.formatted.format != RAW

    @property
    def format(self) -> str:
        """How its files are arranged, as algorithms name what they take: a raw set is arranged as its dataset."""
        return self.formatted.format if self.formatted is not None and self.of_records else self.dataset.format

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes, in the order of their labels."""
        if self.formatted is not None:
            return self.formatted.classes
        return self.dataset.version.classes if self.dataset.version is not None else ()

    @property
    def hold_path(self) -> str:
        """Where it is held, at dataset-svc."""
        if self.formatted is not None:
            return f"/api/v1/formatted-sets/{self.formatted.id}/holds"
        return f"/api/v1/datasets/{self.dataset.id}/holds"

    @property
    def called(self) -> str:
        """Such as `the set '数字 80% lmdb'`."""
        if self.formatted is not None:
            return f"the set {self.formatted.name!r}"
        return f"the dataset {self.dataset.name!r}"

    def cut(self, split: SplitRequest | None = None) -> Cut | None:
        """Which files of which content it has; with a split, which of them train."""
        one, source = self.formatted, self._source(self.part)
        if source is None:
            return None
        if one is not None:
            return Cut(source.digest, one.side, one.ratio, one.seed, one.cut_by)
        if split is None:
            return Cut(source.digest)
        by = self.annotations.digest if self.annotations is not None else ""
        return Cut(source.digest, "train", split.ratio, split.seed, by)

    def _source(self, part: Part) -> ManifestRef | None:
        version = self.dataset.version
        if version is None:
            return None
        return version.train if part == "train" else version.test


def material_notes(
    data: Material, split: SplitRequest | None, validation: Material | None, shared: int | None = None
) -> tuple[str, ...]:
    """What whoever asks for a job should know of what it trains and validates on; `shared` is how many files both have,
    where that was counted."""
    if validation is None:
        return tuple(_offer(data))
    return (*_common(data, split, validation, shared), *_classes(data, validation), *_formats(data, validation))


def _offer(data: Material) -> Iterator[str]:
    """Whoever chooses the set of 80 % is offered its complement (seed 001)."""
    one = data.formatted
    if one is None or one.side == "all":
        return
    where = f"is the set {one.complement_id}" if one.complement_id else "can be made as a set too"
    yield f"The rest of {one.dataset_id} ({(1 - one.share) * 100:.4g} % of it) {where}, to be chosen as its validation."


def _common(data: Material, split: SplitRequest | None, validation: Material, shared: int | None) -> Iterator[str]:
    """Whether the same files are on both sides."""
    train, other = data.cut(split), validation.cut()
    if train is None or other is None or train.excludes(other):
        return
    if train == other:
        yield "It validates on the very files that it trains on."
    elif other.covers(train):
        yield f"It validates on {validation.called}, which has all the files that it trains on too."
    elif train.covers(other):
        yield f"It trains on the files of {validation.called} too, on which it validates."
    elif train.content == other.content:
        reason = f"{data.called} and {validation.called} are cut from the same files, and not by the same cut"
        yield f"It may validate on files that it trains on: {reason}."
    elif shared is not None:
        of = validation.manifest.files if validation.manifest is not None else 0
        if shared:
            yield f"{shared} of the {of} files that it validates on are among those of {data.called} too."
    elif data.dataset.id == validation.dataset.id:
        reason = f"both are of the dataset {data.dataset.name!r}, of different versions or parts"
        yield f"It may validate on files that it trains on: {reason}."


def _classes(data: Material, validation: Material) -> Iterator[str]:
    if data.classes == validation.classes:
        return
    strange = [name for name in validation.classes if name not in data.classes]
    lacking = [name for name in data.classes if name not in validation.classes]
    if strange:
        yield f"The validation has classes that nothing is trained for: {_names(strange)}."
    if lacking:
        yield f"The validation lacks classes that are trained: {_names(lacking)}."
    if data.of_records or validation.of_records:
        yield "The classes of both are not the same, so the same label means another class: see their classes.json."


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + more


def _formats(data: Material, validation: Material) -> Iterator[str]:
    if data.format != validation.format:
        yield f"It trains on files in format {data.format!r} and validates on files in format {validation.format!r}."
