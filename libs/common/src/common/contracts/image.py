"""What algo-svc tells of images."""

from __future__ import annotations

from typing import ClassVar

from common.kernel.events import EventData


class ImageReady(EventData):
    """An image or engine can be run."""

    type: ClassVar[str] = "image.ready"
    id: str
    reference: str
    digest: str


class ImageFailed(EventData):
    """An upload, pull or build failed."""

    type: ClassVar[str] = "image.failed"
    id: str
    code: str
    reason: str


class ImageDeleted(EventData):
    """The image is gone."""

    type: ClassVar[str] = "image.deleted"
    id: str
