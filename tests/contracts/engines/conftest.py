"""The adapters that the engines suite runs over, with wheels made here so that no network is needed."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from common.docker import Daemon
from common.images import DockerEngines, LocalEngines
from common.ports.images import Engines, EngineStatus
from tests.servers.docker import Docker

Make = Callable[[Path, Path], Engines]
Ask = Callable[[EngineStatus, str], str]


def local(_: pytest.FixtureRequest) -> tuple[Make, Ask]:
    def ask(status: EngineStatus, code: str) -> str:
        assert status.path is not None
        return subprocess.check_output([str(status.path / "bin" / "python"), "-c", code], text=True).strip()

    return lambda root, wheels: LocalEngines(root, find_links=(wheels,), offline=True), ask


def docker(request: pytest.FixtureRequest) -> tuple[Make, Ask]:
    engine: Docker = request.getfixturevalue("docker")
    daemon: Daemon = request.getfixturevalue("daemon")
    base = engine.base()

    def make(root: Path, wheels: Path) -> Engines:
        ours = f"modelyard-test/{hashlib.sha256(str(root).encode()).hexdigest()[:16]}"
        return DockerEngines(root, daemon, base_image=base, find_links=(wheels,), offline=True, repository=ours)

    def ask(status: EngineStatus, code: str) -> str:
        assert status.image is not None
        return engine.run_client("run", "--rm", "--network", "none", status.image, "python3", "-c", code).strip()

    return make, ask


ADAPTERS = {"local": local, "docker": docker}
"""name → what makes one on a folder, with a folder of wheels as the only source; and what asks an engine's Python."""


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


@pytest.fixture
async def daemon(docker: Docker) -> AsyncIterator[Daemon]:
    one = Daemon(docker.url)
    yield one
    await one.close()


@pytest.fixture(params=sorted(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> tuple[Make, Ask]:
    return ADAPTERS[request.param](request)


@pytest.fixture
def make(adapter: tuple[Make, Ask]) -> Make:
    return adapter[0]


@pytest.fixture
def ask(adapter: tuple[Make, Ask]) -> Ask:
    return adapter[1]


@pytest.fixture
def engines(make: Make, root: Path, wheels: Path) -> Engines:
    return make(root, wheels)
