"""Every route, called about things that were really made: what is refused changes nothing, and an owner gets through.

`test_permissions` decides by records alone, for every role; here uploads, imports, logs, models and replicas are real.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from common.workloads import holding, loop
from tests.architecture.routes import SHAREABLE, Route, routes_of, status_of, undeclared
from tests.architecture.world import Ground, World, ground, world
from tests.support.process import Facts, ensure_engine, facts_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES = ("dataset-svc", "algo-svc", "train-svc", "notebook-svc", "serving-svc", "gateway")
ALLOWED = "allowed"
NEVER = 1e9


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ensure_engine()
    return tmp_path_factory.mktemp("home")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(home: Path) -> AsyncIterator[Ground]:
    with pytest.MonkeyPatch.context() as patch:  # what is written by the clock alone says nothing of what was asked
        patch.setattr(holding, "IDLE_SECONDS", NEVER)
        patch.setattr(loop, "HEARTBEAT_SECONDS", NEVER)
        async with ground(home) as running:
            yield running


def all_routes(opened: Ground) -> list[Route]:
    """Looking first, then changing, then ending, taking away last."""
    order = ["OPTIONS", "HEAD", "GET", "POST", "PATCH", "PUT", "DELETE"]

    def weight(route: Route) -> tuple[Any, ...]:
        ends = route.path.endswith(("/stop", "/offline", "/cancel", "/password"))
        return (route.method == "DELETE", ends, order.index(route.method), -route.path.count("/"))

    found = [route for name in SERVICES for route in routes_of(name, opened.house.service(name).app)]
    return sorted(found, key=weight)


def expected(route: Route, role: str, visibility: str) -> int | str:
    """What the declared permission means for that role: a status, or that it is allowed."""
    shared = visibility == "public" and route.collection in SHAREABLE
    permission = route.permission
    if permission == "anyone":
        return ALLOWED
    if role == "anonymous":
        return 401
    if permission in ("service", "admin"):
        return 403
    if role == "stranger" and permission == "see":
        return ALLOWED if shared else 404
    if role == "stranger" and permission == "change":
        return 403 if shared else 404
    return ALLOWED


def fits(status: int, wanted: int | str) -> bool:
    """Allowed is whatever does not say no to the caller: also a conflict with the state of the thing."""
    return status == wanted if isinstance(wanted, int) else status < 500 and status not in (401, 403, 404)


async def walk(opened: Ground, routes: list[Route], role: str, about: World) -> list[str]:
    """What is not as it should be. To the gateway people come with their login, to services with its signature."""
    wrong = []
    for route in routes:
        token = None
        if role != "anonymous":
            gateway = route.service == "gateway"
            token = opened.tokens[role] if gateway else opened.house.token(opened.people[role])
        status = await status_of(opened.house.service(route.service).app, route, about, token)
        if not fits(status, wanted := expected(route, role, about.visibility)):
            wrong.append(f"{role}, {about.visibility}: {route} ({route.permission}): {status}, not {wanted}")
    return wrong


async def settled(home: Path) -> Facts:
    """What is written, once nothing has moved for a second."""
    last, still = facts_of(home), 0
    async with asyncio.timeout(120):
        while still < 5:
            await asyncio.sleep(0.2)
            still = still + 1 if (now := facts_of(home)) == last else 0
            last = now
    return last


@pytest.mark.row("P3")
async def test_no_route_is_hidden_from_this_test(opened: Ground) -> None:
    for name in SERVICES:
        assert list(undeclared(opened.house.service(name).app)) == [], name
    open_ones = {str(route) for route in all_routes(opened) if route.permission == "anyone"}
    assert open_ones == {
        "dataset-svc OPTIONS /api/v1/datasets/{dataset_id}/tus",
        "gateway POST /api/v1/login",
        "gateway GET /",
        "gateway GET /healthz",
        "gateway GET /readyz",
    }


@pytest.mark.row("P3", "D7", "A8")
@pytest.mark.parametrize("visibility", ["private", "public"])
async def test_real_things(opened: Ground, home: Path, tmp_path: Path, visibility: str) -> None:
    about = await world(opened, visibility, tmp_path)
    routes = all_routes(opened)
    before = await settled(home)
    for role in ("anonymous", "stranger"):
        denied = [route for route in routes if expected(route, role, visibility) != ALLOWED]
        assert len(denied) > 45
        assert await walk(opened, denied, role, about) == []
    after = await settled(home)
    assert [name for name in after if after[name] != before[name]] == [], "what was refused changed something"
    looking = [
        route for route in routes if route.method == "GET" and expected(route, "stranger", visibility) == ALLOWED
    ]
    assert await walk(opened, looking, "stranger", about) == []
    assert await walk(opened, routes, "owner", about) == []
