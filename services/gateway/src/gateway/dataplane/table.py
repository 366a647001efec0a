"""What stands behind each address, in memory."""

from __future__ import annotations

from dataclasses import dataclass

from common.contracts.service import ServiceSnapshot
from common.ports.routes import Route
from gateway.domain.balance import Target

STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Entry:
    """A route with its replicas' counters."""

    route: Route
    targets: tuple[Target, ...]


class RouteTable:
    """The routes of this process's data plane (port `Routes`)."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._heard: dict[str, int] = {}

    async def put(self, route: Route) -> None:
        """Set what stands behind a service's address."""
        self.set(route)

    async def remove(self, service: str) -> None:
        """The address is no more."""
        self.drop(service)

    def set(self, route: Route) -> None:
        """Like `put`, at once. Replicas that stay keep their counters."""
        before = self._entries.get(route.service)
        kept = {(t.replica, t.url): t for t in before.targets} if before else {}
        targets = tuple(kept.get((e.replica, e.url)) or Target(e.replica, e.url.rstrip("/")) for e in route.endpoints)
        self._entries[route.service] = Entry(route, targets)

    def drop(self, service: str) -> None:
        """Like `remove`, at once."""
        self._entries.pop(service, None)

    def hear(self, service: str, sequence: int, route: Route | None) -> None:
        """What an event said, None where the service is no more. What is heard late or twice changes nothing."""
        if sequence <= self._heard.get(service, 0):
            return
        self._heard[service] = sequence
        if route is None:
            self.drop(service)
        else:
            self.set(route)

    def find(self, service: str) -> Entry | None:
        """The entry of a service, None where there is no such address."""
        return self._entries.get(service)

    def in_flight(self, service: str) -> int:
        """Requests at the service's replicas now."""
        entry = self._entries.get(service)
        return sum(target.in_flight for target in entry.targets) if entry else 0


def route_of(service: ServiceSnapshot) -> Route:
    """The route that a snapshot means: with no replicas wanted it is stopped, whatever still winds down."""
    state = STOPPED if service.replicas == 0 else service.state
    endpoints = service.endpoints if service.replicas else ()
    return Route(service.id, service.owner, service.visibility, state, endpoints)
