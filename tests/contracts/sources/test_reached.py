"""An address that may not be reached is refused wherever that is found: as one connects, not only before."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from common.kernel.errors import Unavailable
from common.sources import Egress, Source
from common.sources.egress import AddressRefused
from common.sources.s3 import S3Source
from common.sources.swift import SwiftSource
from tests.contracts.sources.test_impostors import from_s3, impostor, problem, saying


def source(kind: str, at: str) -> Source:
    """One that was opened when its name still meant another address."""
    if kind == "s3":
        return S3Source(at, "b", "us-east-1", "", "k", "s", Egress())
    return SwiftSource(at, "c", "", "u", "p", Egress())


@pytest.mark.row("D11")
@pytest.mark.parametrize("kind", ["s3", "swift"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_who_connects_to_an_address_inside_is_refused_for_good(kind: str, host: str) -> None:
    for read in (False, True):
        refused = await problem(source(kind, f"http://{host}:9"), read=read)
        assert (type(refused), refused.code) == (AddressRefused, "address_refused")
        assert refused.detail.startswith(f"{host} may not be reached")
        assert "Try again" not in refused.detail


@pytest.mark.row("D11")
@pytest.mark.parametrize("kind", ["s3", "swift"])
async def test_a_name_that_nobody_knows_any_more_is_one_that_is_away(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    away = await problem(source(kind, "http://nobody.invalid:9"), read=False)
    assert isinstance(away, Unavailable)
    assert "nobody.invalid can't be looked up" in away.detail
    assert "unhandled" not in away.detail


@pytest.mark.row("D11")
@pytest.mark.parametrize("read", [False, True])
async def test_who_is_sent_on_to_an_address_inside_is_refused_for_good(read: bool) -> None:
    async with impostor(saying(status=307, Location="http://127.0.0.2:9/latest")) as at:
        refused = await from_s3(at, read=read, egress=Egress.of(["127.0.0.1/32"]))
    assert (type(refused), refused.code) == (AddressRefused, "address_refused")
