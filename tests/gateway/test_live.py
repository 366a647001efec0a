"""The live stream: what one may see, as it happens, and slow clients dropped alone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from common.contracts.dataset import DatasetImported, DatasetSnapshot, DatasetVersion
from common.contracts.job import JobQueued, JobStarted
from common.contracts.service import Endpoint, ServiceChanged, ServiceCreated, ServiceDeleted
from common.contracts.shared import ManifestRef, Visibility
from common.kernel.events import EventData
from tests.gateway.gate import Call, Gate, gate, open_call, request, until

pytestmark = pytest.mark.row("P1")


@pytest_asyncio.fixture
async def g(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gate(tmp_path, stream_buffer=3) as opened:
        yield opened


async def listen(g: Gate, token: str, query: str = "") -> Call:
    before = g.context.live.listeners
    call = open_call(g.app, "GET", f"/api/v1/events{query}", token)
    call.body()
    start = await call.next()
    assert start is not None
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-type"].startswith(b"text/event-stream")
    assert await call.chunk() == b": listening\n\n"
    assert g.context.live.listeners == before + 1
    return call


async def event(call: Call) -> tuple[str, dict[str, Any]]:
    lines = (await call.chunk()).decode().splitlines()
    fields = dict(line.split(": ", 1) for line in lines if line)
    return fields["event"], orjson.loads(fields["data"])


def queued(number: int, owner: str = "alice") -> JobQueued:
    return JobQueued(id=f"job-{number}", name="a job", owner=owner)


async def test_owners_hear_what_is_theirs_and_administrators_all(g: Gate) -> None:
    alice, of_alice = await g.user("alice")
    bob, of_bob = await g.user("bob")
    hears_alice, hears_bob, hears_all = [await listen(g, t) for t in (of_alice, of_bob, await g.log_in())]
    first = await g.emit(queued(1), "job-1", alice)
    second = await g.emit(queued(2), "job-2", bob)
    kind, told = await event(hears_alice)
    assert kind == "job.queued"
    assert (told["id"], told["subject"], told["specversion"]) == (first.id, "job-1", "1.0")
    assert (await event(hears_bob))[1]["id"] == second.id
    assert [(await event(hears_all))[1]["id"] for _ in range(2)] == [first.id, second.id]
    for call in (hears_alice, hears_bob, hears_all):
        call.disconnect()
        await call.done()
    assert g.context.live.listeners == 0


async def test_everybody_hears_of_shared_things_but_not_of_replicas_addresses(g: Gate) -> None:
    _, bob = await g.user("bob")
    call = await listen(g, bob)
    common: dict[str, Any] = {"name": "s", "owner": "alice", "state": "running", "replicas": 1}
    endpoints = (Endpoint(replica="rep-1", url="http://127.0.0.1:1"),)
    hidden = ServiceChanged(id="svc-1", visibility=Visibility.PRIVATE, endpoints=endpoints, **common)
    shown = ServiceChanged(id="svc-2", visibility=Visibility.PUBLIC, endpoints=endpoints, **common)
    await g.emit(hidden, "svc-1", "alice")
    await g.emit(shown, "svc-2", "alice")
    _, told = await event(call)
    assert told["subject"] == "svc-2"
    assert "endpoints" not in told["data"]
    manifest = ManifestRef(address="a", digest="d", files=1, bytes=1)
    version = DatasetVersion(id="ds-1-v1", number=1, digest="d", train=manifest)
    about = {"purpose": "image/classification", "annotation": "class", "format": "dir", "test_mode": "ratio"}
    dataset = DatasetSnapshot(
        id="ds-1", name="d", owner="alice", visibility=Visibility.PUBLIC, online=True, version=version, **about
    )
    await g.emit(DatasetImported(dataset=dataset, version=version), "ds-1", "alice")
    assert (await event(call))[0] == "dataset.imported"
    call.disconnect()
    await call.done()


async def test_a_filter_of_types_and_families(g: Gate) -> None:
    alice, token = await g.user("alice")
    call = await listen(g, token, "?types=job.started,service.*")
    await g.emit(queued(1), "job-1", alice)
    await g.emit(JobStarted(id="job-1", name="j", owner=alice), "job-1", alice)
    await g.emit(ServiceDeleted(id="svc-1"), "svc-1", alice)
    assert (await event(call))[0] == "job.started"
    assert (await event(call))[0] == "service.deleted"
    call.disconnect()
    await call.done()
    wrong = await request(g.app, "GET", "/api/v1/events?types=job.started,nonsense", token)
    assert (wrong.status, wrong.json()["code"]) == (422, "unknown_event_type")


async def test_a_slow_client_is_told_and_dropped_and_others_go_on(g: Gate) -> None:
    alice, token = await g.user("alice")
    slow = g.context.live.listen(g.context.authenticator._known.popitem()[1].principal, [])
    assert await anext(slow) == b": listening\n\n"
    quick = await listen(g, token)
    heard = []
    for number in range(6):
        await g.emit(queued(number), f"job-{number}", alice)
        heard.append((await event(quick))[1]["subject"])
    assert heard == [f"job-{number}" for number in range(6)]
    assert await anext(slow) == b'event: end\ndata: {"reason":"slow"}\n\n'
    with pytest.raises(StopAsyncIteration):
        await anext(slow)
    assert g.context.live.listeners == 1
    await quick.close()


async def test_a_disabled_user_hears_no_more(g: Gate) -> None:
    alice, token = await g.user("alice")
    call = await listen(g, token)
    await g.client(await g.log_in()).post(f"/users/{alice}/disable")
    kind, told = await event(call)
    assert (kind, told) == ("end", {"reason": "login"})
    await call.done()


async def test_a_quiet_stream_says_that_it_lives(tmp_path: Path) -> None:
    async with gate(tmp_path, stream_ping_seconds=0.01) as g:
        call = await listen(g, await g.log_in())
        assert await call.chunk() == b": still here\n\n"
        assert await call.chunk() == b": still here\n\n"
        await call.close()


async def test_a_stop_of_the_platform_ends_the_streams(tmp_path: Path) -> None:
    async with gate(tmp_path) as g:
        call = await listen(g, await g.log_in())
    assert await event(call) == ("end", {"reason": "shutdown"})
    await call.done()


def snapshot(kind: type[EventData], **more: Any) -> EventData:
    told = {"id": "svc-1", "name": "s", "owner": "alice", "visibility": "private", "state": "running", "replicas": 1}
    return kind.model_validate(told | more)


@pytest.mark.row("S6", "S7", "S8")
async def test_routes_follow_the_services_events_and_survive_a_restart(tmp_path: Path) -> None:
    endpoint = {"replica": "rep-1", "url": "http://127.0.0.1:1"}
    async with gate(tmp_path) as g:
        routes = g.context.routes
        await g.emit(snapshot(ServiceCreated, state="stopped", replicas=0), "svc-1", "alice")
        await until(lambda: routes.find("svc-1") is not None)
        await g.emit(snapshot(ServiceChanged, endpoints=[endpoint]), "svc-1", "alice")
        await until(lambda: bool(routes.find("svc-1") and routes.find("svc-1").targets))  # type: ignore[union-attr]
        await g.emit(snapshot(ServiceCreated, id="svc-2"), "svc-2", "alice")
        await g.emit(ServiceDeleted(id="svc-2"), "svc-2", "alice")
        await g.emit(snapshot(ServiceCreated, id="svc-3"), "svc-3", "alice")
        await until(lambda: routes.find("svc-3") is not None)
    async with gate(tmp_path) as g:
        entry = g.context.routes.find("svc-1")
        assert entry is not None
        assert [target.url for target in entry.targets] == ["http://127.0.0.1:1"]
        await until(lambda: g.context.routes.find("svc-2") is None)
        await g.emit(snapshot(ServiceChanged, replicas=0, state="stopping", endpoints=[endpoint]), "svc-1", "alice")
        await until(lambda: g.context.routes.find("svc-1").route.state == "stopped")  # type: ignore[union-attr]
        assert g.context.routes.find("svc-1").targets == ()  # type: ignore[union-attr]


@pytest.mark.row("S6")
async def test_a_late_event_does_not_undo_a_later_one(g: Gate) -> None:
    first = await g.emit(snapshot(ServiceChanged, name="first"), "svc-1", "alice")
    second = await g.emit(snapshot(ServiceChanged, name="second", visibility="public"), "svc-1", "alice")
    await until(lambda: g.context.routes.find("svc-1") is not None)
    await asyncio.sleep(0)
    late = first.model_copy(update={"id": "ev-late"})
    await g.service.inbox.receive("on_service", [second, late])
    await until(lambda: g.context.routes.find("svc-1").route.visibility == Visibility.PUBLIC)  # type: ignore[union-attr]
