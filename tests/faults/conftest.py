"""What the fault runs share."""

from pathlib import Path

import pytest

from common.ports.bus import Subscription
from tests.faults import harness
from tests.support import process


@pytest.fixture(scope="session")
def engine() -> Path:
    """The presets' engine, built once a machine."""
    return process.ensure_engine()


@pytest.fixture(scope="session")
def listening() -> list[Subscription]:
    """Who listens to what."""
    return harness.subscriptions()
