"""What dataset-svc tells: imports, online and offline, changes."""

from __future__ import annotations

from typing import ClassVar

from common.contracts.shared import ManifestRef, Shape, Visibility
from common.kernel.events import EventData


class DatasetVersion(Shape):
    """An immutable import: its number, digest and manifests (`test` where the test set is independent). `annotations`
    is the list of what is annotated in the files of `train`, by which a split goes where there is one."""

    id: str
    number: int
    digest: str
    train: ManifestRef
    test: ManifestRef | None = None
    classes: tuple[str, ...] = ()
    annotations: ManifestRef | None = None


class DatasetSnapshot(EventData):
    """A dataset whole, as others need it. Files whose names have one of the endings `describing` (in lower case; empty
    is none) are no samples, but describe them, as COCO's does."""

    id: str
    name: str
    owner: str
    visibility: Visibility
    purpose: str
    annotation: str
    format: str
    test_mode: str
    online: bool
    version: DatasetVersion | None = None
    describing: tuple[str, ...] = ()


class FormattedSetFacts(Shape):
    """A finished formatted set as a job needs it: `share` is what part of the version it is, from 0 to 1.

    `dataset` is what it was cut from, with that version as its present one; `part` which of its parts, and `side`,
    `ratio` and `seed` how. `complement_id` is the rest as a set, where there is one; `shared` says whether others than
    the owner may use it. `annotations` is for its files what a version's is, and `cut_by` the digest of the one by
    which it was cut, if any.
    """

    id: str
    name: str
    owner: str
    format: str
    dataset_id: str
    dataset_version: int
    dataset_digest: str
    share: float
    manifest: ManifestRef
    classes: tuple[str, ...] = ()
    dataset: DatasetSnapshot | None = None
    part: str = "train"
    side: str = "all"
    ratio: float | None = None
    seed: int = 0
    complement_id: str | None = None
    shared: bool = False
    annotations: ManifestRef | None = None
    cut_by: str = ""


class DatasetImported(EventData):
    """An import ended well: the dataset has a new version."""

    type: ClassVar[str] = "dataset.imported"
    dataset: DatasetSnapshot
    version: DatasetVersion


class DatasetImportFailed(EventData):
    """An import ended badly: the dataset is as it was."""

    type: ClassVar[str] = "dataset.import_failed"
    dataset_id: str
    import_id: str
    code: str
    reason: str


class DatasetOnline(DatasetSnapshot):
    """The dataset can be used elsewhere from now on."""

    type: ClassVar[str] = "dataset.online"


class DatasetOffline(EventData):
    """The dataset can no longer be chosen; what runs keeps what it holds."""

    type: ClassVar[str] = "dataset.offline"
    id: str


class DatasetChanged(DatasetSnapshot):
    """Name, visibility or another field of the snapshot changed; all of it."""

    type: ClassVar[str] = "dataset.changed"


class DatasetDeleted(EventData):
    """The dataset is gone but for a tombstone."""

    type: ClassVar[str] = "dataset.deleted"
    id: str
