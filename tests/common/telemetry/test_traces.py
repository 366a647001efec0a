"""One trace from the request through outbox and bus to the effect in another service, exported where asked for."""

import http.server
import os
import subprocess
import sys
import textwrap
import threading

import httpx2
import pytest
from fastapi import APIRouter
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from common.bus.memory import MemoryBus
from common.contracts.dataset import DatasetOffline
from common.db.database import Database
from common.db.inbox import Inbox
from common.db.migrate import upgrade
from common.db.outbox import Relay
from common.db.uow import Store
from common.kernel.clock import SystemClock
from common.telemetry import traces
from common.web.access import Permission, permits
from common.web.app import create_app
from common.web.identity import KeyRing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter(monkeypatch):
    """Everything that is traced, whatever an earlier test has set up: a process's own provider is set once."""
    made, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(made))
    monkeypatch.setattr(traces, "_tracer", provider.get_tracer("test"))
    return made


async def test_one_trace_all_the_way(tmp_path, exporter):
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.sqlite3'}")
    await upgrade(database)
    store, bus, router, heard_in = Store(database, "test-svc", SystemClock()), MemoryBus(), APIRouter(), []

    @router.post("/things", **permits(Permission.ANYONE))
    async def create() -> None:
        async with store.work() as uow:
            uow.emit(DatasetOffline(id="ds-1"), subject="ds-1")

    async def on_offline(uow, heard) -> None:
        heard_in.append(trace.get_current_span().get_span_context().trace_id)

    app = create_app("test-svc", "Test", KeyRing(tmp_path), router)
    await bus.start(Inbox(store, "other-svc", {DatasetOffline: [on_offline]}).subscriptions())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://t") as client:
        assert (await client.post("/api/v1/things", headers={"traceparent": PARENT})).status_code == 200
    await Relay(store, bus).once()
    await database.close()
    wanted = int(PARENT.split("-")[1], 16)
    assert heard_in == [wanted]
    ours = {span.context.span_id: span for span in exporter.get_finished_spans() if span.context.trace_id == wanted}
    by_name = {span.name: span for span in ours.values()}
    request, consumer = by_name["test-svc POST"], by_name["other-svc on_offline"]
    line = [consumer]
    while line[-1].parent is not None and line[-1].parent.span_id in ours:
        line.append(ours[line[-1].parent.span_id])
    assert request in line, "the request is an ancestor of the effect"
    assert consumer.attributes["messaging.destination.name"] == "dataset.offline"
    assert request.attributes["http.response.status_code"] == 200


def test_spans_leave_the_process_where_an_endpoint_is_set():
    got: list[tuple[str, int]] = []
    arrived = threading.Event()

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, len(self.rfile.read(int(self.headers["content-length"])))))
            self.send_response(200)
            self.end_headers()
            arrived.set()

        def log_message(self, *_args) -> None: ...

    script = textwrap.dedent("""
        from opentelemetry import trace
        from common.telemetry import traces
        traces.set_up("test")
        with traces.span("hello"):
            pass
        trace.get_tracer_provider().shutdown()
    """)
    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
            check=True,
            timeout=60,
        )
        assert arrived.wait(30)
        server.shutdown()
    assert got[0][0] == "/v1/traces"
    assert got[0][1] > 20
