"""What serving-svc tells of inference services."""

from __future__ import annotations

from typing import ClassVar

from common.contracts.shared import Interface, Shape, Visibility
from common.kernel.events import EventData


class Endpoint(Shape):
    """A ready replica and the base address at which it answers."""

    replica: str
    url: str


class ServiceSnapshot(EventData):
    """A service whole: who may call it, and which replicas are ready now."""

    id: str
    name: str
    owner: str
    visibility: Visibility
    state: str
    replicas: int
    endpoints: tuple[Endpoint, ...] = ()
    interface: Interface | None = None
    model_id: str | None = None
    job_id: str | None = None


class ServiceCreated(ServiceSnapshot):
    """A service exists; its address answers from now on."""

    type: ClassVar[str] = "service.created"


class ServiceStarted(ServiceSnapshot):
    """The first replica is ready."""

    type: ClassVar[str] = "service.started"


class ServiceScaled(ServiceSnapshot):
    """The number of replicas wanted changed while running."""

    type: ClassVar[str] = "service.scaled"


class ServiceStopped(ServiceSnapshot):
    """No replica runs; the address stays."""

    type: ClassVar[str] = "service.stopped"


class ServiceChanged(ServiceSnapshot):
    """Any field, ready replicas among them, changed; the whole snapshot."""

    type: ClassVar[str] = "service.changed"


class ServiceDeleted(EventData):
    """The service is gone and its address with it."""

    type: ClassVar[str] = "service.deleted"
    id: str
