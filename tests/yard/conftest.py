"""A platform to talk to, and a client that is logged in there and never waits for real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.yard.stub import TOKEN, Hour, Stub, serving
from yard import Client
from yard.pace import Time


@pytest.fixture
def stub() -> Stub:
    return Stub()


@pytest.fixture
def address(stub: Stub) -> Iterator[str]:
    with serving(stub) as at:
        yield at


@pytest.fixture
def hour() -> Hour:
    return Hour()


@pytest.fixture
def client(address: str, hour: Hour) -> Iterator[Client]:
    with Client(address, TOKEN, hour=Time(hour.now, hour.sleep)) as made:
        yield made


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A file of three and a half parts."""
    file = tmp_path / "digits.zip"
    file.write_bytes(bytes(n % 251 for n in range(3500)))
    return file
