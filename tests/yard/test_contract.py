"""What the client sends is what the services take: every request of every command, held against their OpenAPI."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from embedded.house import running
from embedded.settings import Settings
from tests.yard.stub import TOKEN, Asked, Stub, serving
from tests.yard.test_commands import LINES, furnish
from yard.cli.main import main


async def document(home: Path) -> dict[str, Any]:
    """The whole platform's OpenAPI document."""
    async with running(Settings(home=home)) as house:
        transport = httpx2.ASGITransport(app=house.gateway.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://house") as client:
            told: dict[str, Any] = (await client.get("/api/v1/openapi.json")).raise_for_status().json()
    return told


def asked_by_commands(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """Every request below /api/v1 that the commands send, each on a platform of its own."""
    monkeypatch.chdir(home)
    for line in LINES:
        stub = Stub()
        things = furnish(stub, home)
        with serving(stub) as address:
            for name, value in {"HOME": str(home), "YARD_ADDRESS": address, "YARD_TOKEN": TOKEN}.items():
                monkeypatch.setenv(name, value)
            assert main(line.format(**things).split()) == 0
        yield from (one for one in stub.asked if one.path.startswith("/api/v1/"))


class Known:
    """The routes of an OpenAPI document."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._schemas = told["components"]["schemas"]
        self._routes = [
            (method.upper(), re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", path) + "$"), operation)
            for path, operations in sorted(told["paths"].items(), key=lambda item: item[0].count("{"))
            for method, operation in operations.items()
        ]

    def faults(self, asked: Asked) -> list[str]:
        """What of a request no service would understand."""
        for method, path, operation in self._routes:
            if method == asked.method and path.match(asked.path):
                where = f"{asked.method} {asked.path}"
                return [
                    f"{where}: {fault}" for fault in [*self._query(operation, asked), *self._body(operation, asked)]
                ]
        return [f"{asked.method} {asked.path}: no such route"]

    def _query(self, operation: Mapping[str, Any], asked: Asked) -> Iterator[str]:
        known = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}
        yield from (f"unknown query parameter {name}" for name in asked.query.keys() - known - UNHEARD)

    def _body(self, operation: Mapping[str, Any], asked: Asked) -> Iterator[str]:
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" not in content or not asked.body:
            return
        schema = self._resolved(content["application/json"]["schema"])
        yield from (f"unknown field {name}" for name in asked.json.keys() - schema.get("properties", {}).keys())
        yield from (f"missing field {name}" for name in set(schema.get("required", ())) - asked.json.keys())

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        for option in (schema, *schema.get("anyOf", ())):
            if "$ref" in option:
                found: Mapping[str, Any] = self._schemas[option["$ref"].rsplit("/", 1)[1]]
                return found
        return schema


UNHEARD = frozenset({"q", "limit", "cursor"})
"""Collections that are short or have no names may leave these out."""


@pytest.mark.row("P7")
async def test_the_services_know_every_request_of_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = Known(await document(tmp_path / "platform"))
    (tmp_path / "home").mkdir()
    faults = {fault for asked in asked_by_commands(tmp_path / "home", monkeypatch) for fault in known.faults(asked)}
    assert sorted(faults) == []
