"""What notebook-svc tells of development projects."""

from __future__ import annotations

from typing import ClassVar

from common.kernel.events import EventData


class ProjectEvent(EventData):
    """What every event of a project carries."""

    id: str
    name: str = ""
    owner: str = ""


class ProjectStarted(ProjectEvent):
    """The notebook server runs."""

    type: ClassVar[str] = "project.started"


class ProjectStopped(ProjectEvent):
    """The notebook server ended; code and data stay."""

    type: ClassVar[str] = "project.stopped"


class ProjectImageSaved(ProjectEvent):
    """The running environment was saved as an image."""

    type: ClassVar[str] = "project.image_saved"
    image_id: str


class ProjectPublished(ProjectEvent):
    """The project became an algorithm or a service."""

    type: ClassVar[str] = "project.published"
    target: str


class ProjectDeleted(ProjectEvent):
    """The project is gone."""

    type: ClassVar[str] = "project.deleted"
