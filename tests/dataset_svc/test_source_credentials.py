"""Credentials that no server could be sent are refused when they are given, and the old ones stay (row D11)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dataset_svc.conftest import Desk

SWIFT = {"type": "swift", "auth_url": "http://swift.example/auth/v1.0", "container": "c"}
PASTED = {"user_name": "u", "password": "canary\n"}


@pytest.mark.row("D11")
async def test_a_line_break_that_was_pasted_is_told(alice: Desk) -> None:
    body: dict[str, Any] = {"name": "swift", "connection": SWIFT}
    new = await alice.refused("POST", "/sources", 422, "invalid_source", json=body | {"credentials": PASTED})
    source = await alice.ok("POST", "/sources", 201, json=body | {"credentials": PASTED | {"password": "canary"}})
    changed = f"/sources/{source['id']}/credentials"
    other = await alice.refused("PUT", changed, 422, "invalid_source", json={"credentials": PASTED})
    for problem in (new, other):
        [fault] = problem["faults"]
        assert fault["where"] == "credentials.password"
        assert "line break" in fault["reason"]
        assert "canary" not in str(problem)
