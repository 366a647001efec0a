"""algo-svc on a temporary home, with engines that are built in an instant."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from algo_svc.service import build
from algo_svc.settings import Settings
from tests.algo_svc.support import FakeEngines
from tests.support.platform import House, running


@pytest.fixture
def engines() -> FakeEngines:
    return FakeEngines()


@pytest.fixture
async def house(tmp_path: Path, engines: FakeEngines) -> AsyncIterator[House]:
    async with running(tmp_path / "home", [lambda p: build(p, Settings())], engines=engines) as house:
        yield house


@pytest.fixture
def package() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("main.py", "print('hello')\n")
        archive.writestr("lib/helper.py", "X = 1\n")
    return target.getvalue()
