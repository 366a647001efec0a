"""What the tests of algo-svc share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from common.db.tables import outbox
from common.kernel.errors import Problem
from common.ports.images import EngineSpec, EngineState, EngineStatus
from tests.support.platform import House


class FakeEngines:
    """Builds at a word: `release.set()`; fails where the name says so."""

    def __init__(self) -> None:
        self.built: dict[str, int] = {}
        self.release = asyncio.Event()
        self.release.set()

    async def status(self, spec: EngineSpec) -> EngineStatus:
        if spec.name in self.built:
            return EngineStatus(EngineState.READY, f"digest-{spec.name}", 1.0, path=Path("/engine"))
        return EngineStatus(EngineState.ABSENT, f"digest-{spec.name}")

    async def ensure(self, spec: EngineSpec, progress: Callable[[EngineStatus], None] | None = None) -> EngineStatus:
        await self.release.wait()
        if "broken" in spec.name:
            raise Problem("engine_failed", "No matching distribution found for broken==1.")
        self.built[spec.name] = self.built.get(spec.name, 0) + 1
        return await self.status(spec)


async def events(house: House, service: str = "algo-svc") -> list[tuple[str, str]]:
    """Type and subject of every event that the service has told so far, in order."""
    async with house.service(service).kit.store.reading() as connection:
        rows = (await connection.execute(select(outbox.c.type, outbox.c.subject).order_by(outbox.c.id))).all()
    return [(row.type, row.subject) for row in rows]


async def payloads(house: House, kind: str, service: str = "algo-svc") -> list[Any]:
    """What the events of one type said."""
    async with house.service(service).kit.store.reading() as connection:
        rows = await connection.execute(select(outbox.c.payload).where(outbox.c.type == kind).order_by(outbox.c.id))
    return [json.loads(payload)["data"] for payload in rows.scalars()]


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 180.0) -> None:
    """Wait until something holds, at most so long."""
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.01)


def algorithm(**changes: Any) -> dict[str, Any]:
    """The body of a good registration."""
    body: dict[str, Any] = {
        "name": "手写数字",
        "description": "Reads digits",
        "purpose": "image/classification",
        "formats": ["dir"],
        "training": {
            "engine": "sklearn-1.9",
            "command": ["python", "main.py"],
            "environment": {"EPOCHS_HINT": "3"},
            "parameters": [
                {"name": "epochs", "type": "integer", "default": 5, "minimum": 1, "maximum": 100},
                {"name": "device", "type": "string", "default": "cpu", "choices": ["cpu"]},
            ],
        },
        "inference": {
            "engine": "sklearn-1.9",
            "command": ["python", "serve.py"],
            "interface": {
                "name": "classify",
                "method": "POST",
                "path": "/classify",
                "style": "json",
                "inputs": [{"name": "text", "test_value": "足球"}],
            },
            "resources": {"cpu": 1, "memory": "512Mi"},
        },
    }
    return body | changes
