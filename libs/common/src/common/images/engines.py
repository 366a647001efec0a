"""The engines of this machine: virtual environments beneath one folder, one for each digest.

An engine is built in its final place (environments can't be moved) and counts as there only once its marker is
written, last of all. Whoever builds holds `<digest>.lock`, across processes; what a killed build left is thrown
away by the next.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from common.images.installer import Progress, run_uv
from common.images.interpreters import choose_interpreter, interpreters, version_of
from common.images.requirements import EngineFailed, check_requirements, engine_digest, python_fits
from common.images.sharing import Listener, SharedBuilds
from common.kernel.clock import Clock, SystemClock
from common.kernel.errors import Problem
from common.ports.images import EngineSpec, EngineState, EngineStatus

_MARKER = "yard-engine.json"
_POLL = 0.2


class LocalEngines:
    """Builds engines with uv beneath `root` and keeps them.

    `find_links` are folders with wheels; with `offline` nothing else is asked. `from_source` allows packages that
    come without a wheel: building one runs its code as the platform's user, so it is off unless asked for.
    """

    def __init__(
        self,
        root: Path,
        *,
        find_links: Sequence[Path] = (),
        offline: bool = False,
        from_source: bool = False,
        interpreter: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.root = root.absolute()
        self._find_links = tuple(find_links)
        self._offline = offline
        self._from_source = from_source
        self._interpreter = interpreter
        self._clock = clock or SystemClock()
        self._builds = SharedBuilds()

    async def status(self, spec: EngineSpec) -> EngineStatus:
        """How it stands, without building it. Raises Invalid (`bad_requirement`)."""
        check_requirements(spec.requirements)
        digest = engine_digest(spec)
        if self._is_ready(digest):
            return self._ready(digest)
        if (building := self._builds.building(digest)) is not None:
            return building
        if self._is_locked(digest):
            return EngineStatus(EngineState.BUILDING, digest, detail="another process builds it")
        failure = self._file(digest, "failed")
        if failure.exists():
            return EngineStatus(EngineState.FAILED, digest, detail=failure.read_text())
        return EngineStatus(EngineState.ABSENT, digest)

    async def ensure(self, spec: EngineSpec, progress: Listener | None = None) -> EngineStatus:
        """Build it unless it is there; equal requests share one build, also across processes.

        Raises Invalid (`bad_requirement`), EngineFailed (`engine_failed`) with the installer's last lines.
        """
        check_requirements(spec.requirements)
        digest = engine_digest(spec)
        if not self._is_ready(digest):
            await self._builds.share(digest, lambda: self._build(spec, digest), progress)
        ready = self._ready(digest)
        if progress is not None:
            progress(ready)
        return ready

    async def close(self) -> None:
        """End the builds of this process; what they left is thrown away by the next build."""
        await self._builds.close()

    async def _build(self, spec: EngineSpec, digest: str) -> EngineStatus:
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        lock = os.open(self._file(digest, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await self._alone(lock, digest)
            if not self._is_ready(digest):
                await self._install(spec, digest, lock)
        except Problem as failure:
            self._file(digest, "failed").write_text(failure.detail)
            raise
        finally:
            os.close(lock)
        return self._ready(digest)

    async def _alone(self, lock: int, digest: str) -> None:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._builds.tell(digest, 0.0, "another process builds it")
                await self._clock.sleep(_POLL)
            else:
                return

    async def _install(self, spec: EngineSpec, digest: str, lock: int) -> None:
        folder = self.root / digest
        self._file(digest, "failed").unlink(missing_ok=True)
        if folder.exists():
            await asyncio.to_thread(shutil.rmtree, folder)
        progress = Progress(lambda value, detail: self._builds.tell(digest, value, detail))
        progress.reach(0.01, "choosing a Python")
        python = await asyncio.to_thread(self._python, spec.python)
        await run_uv(["venv", "--python", str(python), "--no-project", str(folder)], self.root, lock, progress)
        progress.reach(0.05, "environment made")
        if spec.requirements:
            await run_uv(self._install_arguments(spec, folder), self.root, lock, progress)
        draft = folder / f"{_MARKER}.tmp"
        draft.write_text(json.dumps({"place": str(folder), "requirements": sorted(spec.requirements)}))
        draft.rename(folder / _MARKER)

    def _install_arguments(self, spec: EngineSpec, folder: Path) -> list[str]:
        flags = ["--python", str(folder), "--compile-bytecode", "--no-progress"]
        for links in self._find_links:
            flags += ["--find-links", str(links)]
        if self._offline:
            flags += ["--offline", "--no-index"]
        if not self._from_source:
            flags.append("--no-build")
        return ["pip", "install", *flags, "--", *(" ".join(text.split()) for text in spec.requirements)]

    def _python(self, wanted: str) -> Path:
        """The preferred interpreter where it fits, else any that does. Raises EngineFailed."""
        preferred = self._interpreter or choose_interpreter()
        for path in [preferred, *interpreters()]:
            version = version_of(path)
            if version is not None and python_fits(version, wanted):
                return path
        raise EngineFailed(f"This machine has no Python {wanted}; install one, or ask for another version.")

    def _file(self, digest: str, kind: str) -> Path:
        return self.root / f"{digest}.{kind}"

    def _is_ready(self, digest: str) -> bool:
        folder = self.root / digest
        try:
            marker = json.loads((folder / _MARKER).read_bytes())
        except (FileNotFoundError, ValueError):
            return False
        return bool(marker["place"] == str(folder))

    def _ready(self, digest: str) -> EngineStatus:
        return EngineStatus(EngineState.READY, digest, progress=1.0, detail="ready", path=self.root / digest)

    def _is_locked(self, digest: str) -> bool:
        try:
            fd = os.open(self._file(digest, "lock"), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False
