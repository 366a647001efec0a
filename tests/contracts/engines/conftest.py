"""The adapters that the engines suite runs over, with wheels made here so that no network is needed."""

from __future__ import annotations

import base64
import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.images import LocalEngines
from common.ports.images import Engines

Make = Callable[[Path, Path], Engines]


def local_engines(root: Path, wheels: Path) -> Engines:
    return LocalEngines(root, find_links=(wheels,), offline=True)


ADAPTERS: dict[str, Make] = {"local": local_engines}
"""name → make one on a folder, with a folder of wheels as the only source."""


def build_wheel(folder: Path, name: str, version: str, source: str, requires: tuple[str, ...] = ()) -> Path:
    """A wheel of one module (PEP 427)."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {require}\n" for require in requires)
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{path},sha256={digest(text)},{len(text.encode())}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
    return path


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("wheels")
    build_wheel(folder, "yard_one", "1.0", "VALUE = 1\n")
    build_wheel(folder, "yard_one", "2.0", "VALUE = 2\n")
    build_wheel(folder, "yard_two", "1.0", "import yard_one\nVALUE = yard_one.VALUE + 10\n", ("yard_one<2",))
    return folder


@pytest.fixture
def root() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="yard-engines-"))
    folder.chmod(0o711)
    yield folder / "engines"
    shutil.rmtree(folder)


@pytest.fixture(params=sorted(ADAPTERS))
def make(request: pytest.FixtureRequest) -> Make:
    return ADAPTERS[request.param]


@pytest.fixture
def engines(make: Make, root: Path, wheels: Path) -> Engines:
    return make(root, wheels)
