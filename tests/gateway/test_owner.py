"""Asking serving-svc before a caller is turned away: seldom, and never against later news."""

from typing import Any

import pytest

from common.contracts.service import Endpoint
from common.contracts.shared import Visibility
from common.kernel.errors import NotFound, Problem, Unavailable
from common.kernel.ids import new_id
from common.ports.routes import Route
from common.web.calls import Calls
from gateway.dataplane.owner import Owner
from gateway.dataplane.table import RouteTable

pytestmark = pytest.mark.row("S6")

SERVICE = new_id("svc")


class Told(Calls):
    """serving-svc, whose answer is known; `meanwhile` happens before it arrives."""

    def __init__(self, state: str = "running", meanwhile: Any = None, problem: Problem | None = None) -> None:
        self.asked: list[str] = []
        self._state = state
        self._meanwhile = meanwhile
        self._problem = problem

    async def get(self, service: str, path: str, **params: str) -> Any:
        self.asked.append(f"{service} {path}")
        if self._problem is not None:
            raise self._problem
        if self._meanwhile:
            self._meanwhile()
        endpoint = {"replica": "rep-1", "url": "http://127.0.0.1:1"}
        told = {"id": SERVICE, "name": "s", "owner": "alice", "visibility": "private", "state": self._state}
        return told | {"replicas": 1, "endpoints": [endpoint]}


def route(state: str) -> Route:
    endpoints = (Endpoint(replica="rep-2", url="http://127.0.0.1:2"),) if state == "running" else ()
    return Route(SERVICE, "alice", Visibility.PRIVATE, state, endpoints)


async def test_what_the_owner_tells_is_the_route() -> None:
    routes, calls = RouteTable(), Told()
    owner = Owner(calls, routes)
    await owner.refresh(SERVICE)
    entry = routes.find(SERVICE)
    assert entry is not None
    assert [target.url for target in entry.targets] == ["http://127.0.0.1:1"]
    assert calls.asked == [f"serving-svc /api/v1/services/{SERVICE}/snapshot"]
    await owner.refresh(SERVICE)
    assert len(calls.asked) == 1, "not again at once"


@pytest.mark.parametrize("service", ["x", "svc-1", "../jobs", "job-01k00000000000000000000000"])
async def test_only_services_are_asked_for(service: str) -> None:
    calls = Told()
    await Owner(calls, RouteTable()).refresh(service)
    assert calls.asked == []


async def test_an_event_that_was_heard_meanwhile_is_the_later_news() -> None:
    routes = RouteTable()
    routes.set(route("starting"))
    await Owner(Told(meanwhile=lambda: routes.set(route("stopped"))), routes).refresh(SERVICE)
    entry = routes.find(SERVICE)
    assert entry is not None
    assert (entry.route.state, entry.targets) == ("stopped", ())


async def test_what_the_owner_does_not_know_is_no_route() -> None:
    routes = RouteTable()
    routes.set(route("running"))
    await Owner(Told(problem=NotFound("service_not_found", "none")), routes).refresh(SERVICE)
    assert routes.find(SERVICE) is None


async def test_an_owner_that_is_down_changes_nothing() -> None:
    routes = RouteTable()
    routes.set(route("starting"))
    before = routes.find(SERVICE)
    await Owner(Told(problem=Unavailable("service_unavailable", "down")), routes).refresh(SERVICE)
    assert routes.find(SERVICE) is before
