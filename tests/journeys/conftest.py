"""One platform in a process of its own for each module of journeys, with people who are logged in to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import process
from tests.support.process import PlatformProcess
from yard import Client


@pytest.fixture(scope="session")
def engine() -> Path:
    """The presets' engine, built once a machine."""
    return process.ensure_engine()


@pytest.fixture(scope="module")
def platform(engine: Path) -> Iterator[PlatformProcess]:
    with process.platform() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a module's archives are written."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def admin(platform: PlatformProcess) -> Iterator[Client]:
    with platform.admin() as client:
        yield client


@pytest.fixture(scope="module")
def alice(platform: PlatformProcess) -> Iterator[Client]:
    with platform.user("alice") as client:
        yield client


@pytest.fixture(scope="module")
def bob(platform: PlatformProcess) -> Iterator[Client]:
    with platform.user("bob") as client:
        yield client
