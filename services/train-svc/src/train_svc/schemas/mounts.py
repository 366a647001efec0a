"""External sources that a job mounts as they are, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import BaseModel, Field

from train_svc.domain.mounts import Mounted, MountRequest
from train_svc.schemas.shared import Asked


class MountIn(Asked):
    """A source of one's own at `MOUNT_DIR/<at>`: a shared path as it is, an S3 prefix or a Swift container as a copy
    that is made on the node when the job starts."""

    source_id: str = Field(max_length=80)
    path: str = Field(default="", max_length=1024, description="Below the source's own place")
    at: str = Field(max_length=200, description="Name of the folder: lower-case letters, digits, - and _")
    read_only: bool = Field(default=True, description="False only for shared paths that an administrator opened")

    def asked(self) -> MountRequest:
        """As the domain has it."""
        return MountRequest(self.source_id, self.at, self.path, self.read_only)


class MountOut(BaseModel):
    """A source that a job mounts. `copied`: it is a copy on the node, and no shared path."""

    source_id: str
    name: str
    at: str
    path: str
    read_only: bool
    copied: bool

    @classmethod
    def of(cls, mounted: Mounted) -> Self:
        """As it is told."""
        plain = {name: getattr(mounted, name) for name in cls.model_fields.keys() - {"copied"}}
        return cls(**plain, copied=mounted.root is None)


def mounts_out(mounts: Sequence[Mounted]) -> list[MountOut]:
    """All of them."""
    return [MountOut.of(one) for one in mounts]
