"""What dataset-svc refuses, beyond the general problems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from common.kernel.errors import Conflict, Invalid, TooLarge
from dataset_svc.domain.uses import Uses


class DatasetEmpty(Conflict):
    """409 `dataset_empty`: there is no version that anybody could use."""

    def __init__(self, dataset: str, missing: Sequence[str]) -> None:
        what = " and ".join(missing) or "train"
        super().__init__(
            "dataset_empty",
            f"{dataset} has no version yet: import its {what} set first, then put it online.",
            missing=list(missing),
        )


class DatasetStillOnline(Conflict):
    """409 `dataset_online`: others may be choosing it at this moment. `used_by` lists who uses it already, as far as
    the asker may know; `others` counts the rest."""

    def __init__(self, dataset: str, uses: Uses | None = None) -> None:
        told: dict[str, Any] = {"used_by": [asdict(use) for use in uses.items], "others": uses.others} if uses else {}
        used = f" {uses.sentence()}" if uses else ""
        super().__init__("dataset_online", f"{dataset} is online. Take it offline first, then delete it.{used}", **told)


class DatasetNotEmpty(Conflict):
    """409 `dataset_not_empty`: its versions were checked against what it is."""

    def __init__(self, dataset: str, fields: Iterable[str]) -> None:
        names = ", ".join(fields)
        super().__init__(
            "dataset_not_empty",
            f"{names} of {dataset} can change only before the first import. Create another dataset instead.",
        )


class UnusedPart(Conflict):
    """409 `no_independent_test_set`: such a dataset takes its test data from the training set."""

    def __init__(self, dataset: str) -> None:
        super().__init__(
            "no_independent_test_set",
            f"{dataset} has test mode 'ratio': upload its training set only, or set test_mode to 'independent'.",
        )


class WrongSum(Invalid):
    """422 `checksum_mismatch`: an archive has another SHA-256 (`found`) than was announced."""

    def __init__(self, name: str, found: str, announced: str, todo: str) -> None:
        told = f"{name} arrived with SHA-256 {found} instead of {announced}. {todo}"
        super().__init__("checksum_mismatch", told, found=found)
        self.found, self.announced = found, announced


class NotImportable(Conflict):
    """409 `format_not_importable`: this installation has no checker for that kind of dataset."""

    def __init__(self, dataset: str, format: str, purpose: str, known: Iterable[str]) -> None:
        choice = ", ".join(known) or "none"
        super().__init__(
            "format_not_importable",
            f"{dataset}: archives in format {format!r} for {purpose} can't be imported here. Those that can: {choice}.",
        )


class SetNotReady(Conflict):
    """409 `set_not_ready`: a formatted set that has no files (yet). `owner` tells a service who may know of it."""

    def __init__(self, item: str, state: str, reason: str, owner: str) -> None:
        why = f"building it failed: {reason} Order it again." if reason else "wait until its state is ready."
        super().__init__("set_not_ready", f"{item} is {state}: {why}", owner=owner)


class BadPart(Invalid):
    """422: `bad_part_number` or `wrong_part_size`."""


class PartTooLarge(TooLarge):
    """413 `part_too_large`: more bytes than this part of the upload has."""

    def __init__(self, number: int, size: int) -> None:
        super().__init__("part_too_large", f"Part {number} has {size} bytes; more arrived. Cut the file as told.")
