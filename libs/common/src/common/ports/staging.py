"""Staging: how a version, a model or code becomes a folder beside a workload."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from common.contracts.shared import ManifestRef


@dataclass(frozen=True)
class Split:
    """Which samples go to `train/` and which to `test/`: seeded, stratified by class, the same every time (row D8).

    `ratio` is the part for training, between 0 and 1 exclusive. Files whose names have one of the endings `describing`
    (in lower case; empty is none) only describe others, as the dataset's format says. `annotations` is the list that
    tells the classes of files, and how the samples lie in files that hold many, which are parted line by line
    (`common.staging.samples`); without it each file is a sample, and its first folder is its class.
    """

    ratio: float
    seed: int = 0
    stratify: Literal["first_folder", "none"] = "first_folder"
    describing: tuple[str, ...] = ()
    annotations: ManifestRef | None = None


@dataclass(frozen=True)
class StageRequest:
    """A folder to make. With `split` it holds `train/` and `test/`; with `test` the independent test set is
    `test/` and the rest `train/`; with `validation` those files are `val/`, beside `train/`; else the files as they
    are. With `stream` it may be read while the files of `manifest` still arrive: `shards.txt` in it lists them."""

    manifest: ManifestRef
    split: Split | None = None
    test: ManifestRef | None = None
    validation: ManifestRef | None = None
    stream: bool = False

    @property
    def bytes(self) -> int:
        """Bytes of all that goes into the folder."""
        return sum(ref.bytes for ref in self.manifests)

    @property
    def manifests(self) -> list[ManifestRef]:
        """All whose files go into the folder."""
        return [ref for ref in (self.manifest, self.test, self.validation) if ref is not None]

    @property
    def sides(self) -> list[str]:
        """The folders in it that part the files; none where they are as they are."""
        parted = self.split is not None or self.test is not None
        if not parted and self.validation is None:
            return []
        return ["train", *(["test"] if parted else []), *(["val"] if self.validation is not None else [])]


@dataclass(frozen=True)
class Listing:
    """Files that lie elsewhere, as they were listed: `place` says where, `files` are path, size in bytes, and a tag
    that changes with the content. The same listing is the same folder."""

    place: str
    files: tuple[tuple[str, int, str], ...]

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size, _ in self.files)


Read = Callable[[str], AsyncIterator[bytes]]
"""The bytes of a listed file, in chunks."""


@dataclass(frozen=True)
class StageProgress:
    """`done` of `total` bytes."""

    done: int
    total: int


class Staging(Protocol):
    """Makes read-only folders from manifests, once a node, shared by all that ask for the same."""

    async def stage(
        self,
        request: StageRequest,
        progress: Callable[[StageProgress], None] | None = None,
        *,
        workload: str | None = None,
    ) -> Path:
        """The folder; with `workload` it is kept for it from the first moment until `release`.

        Digests are verified; raises Problem (`staging_failed`), StorageFull (`storage_full`).
        """
        ...

    async def carry_on(self, request: StageRequest) -> bool:
        """Whether all is there of a folder that a running workload reads while it is filled. Ask now and then for as
        long as it runs: where nobody fills it any more, as after a restart, this begins to.

        Raises Problem (`staging_failed`), StorageFull (`storage_full`) where the rest can't be had.
        """
        ...

    async def copy(
        self,
        listing: Listing,
        read: Read,
        progress: Callable[[StageProgress], None] | None = None,
        *,
        workload: str | None = None,
    ) -> Path:
        """The same for files that lie elsewhere. Raises Problem (`staging_failed`) also where one has another size than
        was listed, and what `read` raises."""
        ...

    async def release(self, workload: str) -> None:
        """Let go of all that a workload holds; one that holds nothing is no error."""
        ...

    async def evict(self, keep_bytes: int) -> int:
        """Drop what nothing holds until at most `keep_bytes` remain; gives the bytes freed."""
        ...

    async def close(self) -> None:
        """Wait for what is under way and end."""
        ...
