"""Replicas as real processes: started, asked, killed, replaced, adopted after a restart, and gone at the end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from serving_svc.settings import Settings
from tests.serving_svc.support import Ledger, Yard, yard

PROGRAM = b"""
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.tell({"ready": True})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model = (Path(os.environ["MODEL_DIR"]) / "model.bin").read_text()
        self.tell({"asked": asked, "model": model, "pid": os.getpid()})

    def tell(self, body):
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        print("asked", *args[1:], flush=True)

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answers).serve_forever()
"""

SETTINGS = Settings(probe_starting=0.05, probe_running=0.1, probe_timeout=60, drain_seconds=0.1, stop_seconds=2.0)


async def pid(house: Yard, service: str) -> tuple[str, int]:
    """One of the replicas, and the process that it is."""
    answer = (await house.alice.post(f"/services/{service}/test")).json()
    assert answer["status"] == 200, answer
    assert answer["response"]["asked"] == {"text": "足球", "top": 3}
    assert answer["response"]["model"] == "weights"
    return answer["replica"], answer["response"]["pid"]


@pytest.mark.row("S1", "S6", "S7", "S8", "S10", "S14")
async def test_replicas_as_processes(tmp_path: Path) -> None:
    ledger = Ledger()
    async with yard(tmp_path / "home", ledger=ledger, settings=SETTINGS, processes=True) as house:
        service = await house.publish(program=PROGRAM, command=(sys.executable, "serve.py"))
        await house.act(service, "start", replicas=2)
        await house.reach(service, "running", ready=2)
        replica, process = await pid(house, service)

        async def logged() -> bool:
            log = await house.alice.get(f"/services/{service}/replicas/{replica}/log")
            return "POST /classify" in log.text

        await house.until(logged)
        os.kill(process, signal.SIGKILL)

        async def replaced() -> bool:
            seen = await house.show(service)
            return seen["ready"] == 2 and replica not in [r["id"] for r in await house.listed(service) if r["ready"]]

        await house.until(replaced)
        before = {one["id"]: one["address"] for one in await house.listed(service) if one["ready"]}

    async with yard(tmp_path / "home", ledger=ledger, settings=SETTINGS, processes=True) as house:

        async def as_before() -> bool:
            return {one["id"]: one["address"] for one in await house.listed(service) if one["ready"]} == before

        await house.until(as_before)
        await pid(house, service)
        await house.act(service, "scale", replicas=1)
        await house.reach(service, "running", ready=1)
        await house.act(service, "stop")
        await house.reach(service, "stopped")
        assert list(await house.house.platform.runtime.handles()) == []
        await house.all_released()
