"""The data plane: which replicas stand behind a stable address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from common.contracts.service import Endpoint
from common.contracts.shared import Visibility


@dataclass(frozen=True)
class Route:
    """A service's stable address: who may call it and which replicas are ready."""

    service: str
    owner: str
    visibility: Visibility
    state: str
    endpoints: tuple[Endpoint, ...]


class Routes(Protocol):
    """Where the control plane tells the data plane what stands behind each address."""

    async def put(self, route: Route) -> None:
        """Set what stands behind a service's address."""
        ...

    async def remove(self, service: str) -> None:
        """The address is no more."""
        ...

    def in_flight(self, service: str) -> int:
        """Requests at the service's replicas now."""
        ...
