"""Engines on this machine's disk: killed builds, moved folders, and who may run what was built."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.images import EngineFailed, LocalEngines, choose_interpreter, engine_digest
from common.images.installer import Progress
from common.images.interpreters import version_of
from common.ports.images import EngineSpec, EngineState

EMPTY = EngineSpec("plain", ())
DIGEST = engine_digest(EMPTY)

BUILDER = """
import asyncio, sys
from pathlib import Path
from common.images import LocalEngines
from common.ports.images import EngineSpec
def show(status): print(status.detail, flush=True)
asyncio.run(LocalEngines(Path(sys.argv[1]), offline=True).ensure(EngineSpec("plain", ()), show))
"""


@pytest.fixture
def root() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="yard-engines-"))
    folder.chmod(0o711)
    yield folder / "engines"
    shutil.rmtree(folder)


def runs(path: Path | None) -> bool:
    assert path is not None
    return subprocess.call([str(path / "bin" / "python"), "-c", "pass"]) == 0


async def test_what_a_killed_build_left_is_thrown_away(root):
    left = root / DIGEST / "bin"
    left.mkdir(parents=True)
    (left / "python").write_text("half")
    engines = LocalEngines(root, offline=True)
    assert (await engines.status(EMPTY)).state is EngineState.ABSENT
    status = await engines.ensure(EMPTY)
    assert runs(status.path)


async def test_kill_9_of_the_builder(root):
    with subprocess.Popen([sys.executable, "-c", BUILDER, str(root)], stdout=subprocess.PIPE) as builder:
        assert builder.stdout is not None
        assert builder.stdout.readline()
        os.kill(builder.pid, signal.SIGKILL)
    engines = LocalEngines(root, offline=True)
    assert runs((await engines.ensure(EMPTY)).path)


async def test_a_build_elsewhere_is_seen_and_waited_for(root):
    root.mkdir()
    fd = os.open(root / f"{DIGEST}.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    engines = LocalEngines(root, offline=True)
    assert (await engines.status(EMPTY)).state is EngineState.BUILDING
    build = asyncio.create_task(engines.ensure(EMPTY))
    while "another process" not in (await engines.status(EMPTY)).detail:
        await asyncio.sleep(0)
    assert not (root / DIGEST).exists()
    os.close(fd)
    assert runs((await build).path)


async def test_a_moved_engine_is_built_again(root):
    """Environments hold their own path, so one under another path is no engine."""
    await LocalEngines(root, offline=True).ensure(EMPTY)
    moved = root.with_name("moved")
    root.rename(moved)
    engines = LocalEngines(moved, offline=True)
    assert (await engines.status(EMPTY)).state is EngineState.ABSENT
    assert runs((await engines.ensure(EMPTY)).path)


async def test_closing_ends_the_builds(root):
    engines = LocalEngines(root, offline=True)
    build = asyncio.create_task(engines.ensure(EMPTY))
    while not (root / f"{DIGEST}.lock").exists():
        await asyncio.sleep(0)
    await engines.close()
    with pytest.raises(asyncio.CancelledError):
        await build
    async with asyncio.timeout(60):  # a program that is being started beside it has the lock too, until it runs
        while (await engines.status(EMPTY)).state is not EngineState.ABSENT:
            await asyncio.sleep(0.01)


async def test_other_users_can_run_an_engine(root):
    """As root, owners' workloads have users of their own, and these must reach the interpreter under the engine."""
    status = await LocalEngines(root, offline=True).ensure(EMPTY)
    assert status.path is not None
    python = status.path / "bin" / "python"
    assert version_of(python, as_others=os.geteuid() == 0) == version_of(choose_interpreter())


async def test_code_of_packages_is_not_run_unless_allowed(root, tmp_path):
    """A package without a wheel runs its own code when it is built, so it is refused."""
    source = tmp_path / "evil-1.0"
    source.mkdir()
    (source / "setup.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    subprocess.check_call(["tar", "-czf", str(tmp_path / "evil-1.0.tar.gz"), "-C", str(tmp_path), "evil-1.0"])
    engines = LocalEngines(root, find_links=(tmp_path,), offline=True)
    with pytest.raises(EngineFailed, match="evil"):
        await engines.ensure(EngineSpec("x", ("evil",)))
    assert not (tmp_path / "ran").exists()


def test_progress_follows_the_installer():
    seen: list[tuple[float, str]] = []
    progress = Progress(lambda value, detail: seen.append((round(value, 2), detail)))
    for line in (
        "Using Python 3.11.2 environment at: engine",
        "Resolved 4 packages in 120ms",
        "Downloading numpy (16.0MiB)",
        " Downloaded numpy",
        "   Building x==1",
        "      Built x==1",
        "Prepared 4 packages in 2.1s",
        "Installed 4 packages in 30ms",
        "Bytecode compiled 900 files in 1.2s",
        " + numpy==2.0",
    ):
        progress.line(line)
    values = [value for value, _ in seen]
    assert values == sorted(values)
    assert values == [0.15, 0.15, 0.3, 0.3, 0.45, 0.8, 0.9, 0.98]
