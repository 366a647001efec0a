"""Engines as images: what an engine requires, installed once on a base image, and kept by its digest.

The build is a container with the engine's name, so there is one for all processes, and it goes on where the platform
is restarted: the next who asks waits for the same container. What the installer needs (its program, certificates,
the operator's settings) lies in a volume, so that nothing of it becomes part of the image.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shlex
import tarfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from common.docker import Daemon, Refused, fetch_image
from common.images.installer import LAST_LINES, Progress
from common.images.requirements import EngineFailed, check_requirements, engine_digest
from common.images.sharing import Listener, SharedBuilds
from common.kernel.clock import Clock, SystemClock
from common.kernel.errors import Problem, Unavailable
from common.ports.images import EngineSpec, EngineState, EngineStatus

PLACE = "/opt/engine"
_BUILD = "/yard/build"
_LABEL = "modelyard.engine"
_POLL = 0.2
_BEGIN_LOOKS = 300
"""How often a build that another process has made is looked at until it should have begun."""
_KEEP_LOOKS = 600
"""How often a finished build is looked at until whoever began it should have kept it."""
_SECONDS = 3600.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class DockerEngines:
    """Builds engines as images on one Docker engine.

    `root` keeps the reasons of failed builds. `find_links` are folders with wheels on Docker's machine; with `offline`
    nothing else is asked, and the build has no network. `repository` is what the images are called.
    """

    def __init__(
        self,
        root: Path,
        daemon: Daemon | None = None,
        *,
        base_image: str = "python:3.11-slim",
        find_links: Sequence[Path] = (),
        offline: bool = False,
        from_source: bool = False,
        repository: str = "modelyard/engine",
        clock: Clock | None = None,
    ) -> None:
        self.root = root.absolute()
        self._daemon = daemon or Daemon()
        self._base = base_image
        self._find_links = tuple(find_links)
        self._offline, self._from_source = offline, from_source
        self._repository = repository
        self._clock = clock or SystemClock()
        self._builds = SharedBuilds()
        self._tidied: set[str] = set()

    def reference(self, digest: str) -> str:
        """What the image of an engine is called; another base image makes another image."""
        base = hashlib.sha256(self._base.encode()).hexdigest()[:8]
        return f"{self._repository}:{digest[:32]}-{base}"

    async def status(self, spec: EngineSpec) -> EngineStatus:
        """How it stands, without building it. Raises Invalid (`bad_requirement`), Unavailable."""
        check_requirements(spec.requirements)
        digest = engine_digest(spec)
        if await self._is_ready(digest):
            return self._ready(digest)
        if (building := self._builds.building(digest)) is not None:
            return building
        found = await self._daemon.container(self._name(digest))
        if found is not None and found["State"]["Running"]:
            return EngineStatus(EngineState.BUILDING, digest, detail="another process builds it")
        failure = self._failure(digest)
        if failure.exists():
            return EngineStatus(EngineState.FAILED, digest, detail=failure.read_text())
        return EngineStatus(EngineState.ABSENT, digest)

    async def ensure(self, spec: EngineSpec, progress: Listener | None = None) -> EngineStatus:
        """Build it unless it is there; equal requests share one build, also across processes.

        Raises Invalid (`bad_requirement`), EngineFailed (`engine_failed`) with the installer's last lines, and
        Unavailable where Docker is away: the build itself may go on.
        """
        check_requirements(spec.requirements)
        digest = engine_digest(spec)
        if not await self._is_ready(digest):
            await self._builds.share(digest, lambda: self._build(spec, digest), progress)
        await self._tidy(digest)
        ready = self._ready(digest)
        if progress is not None:
            progress(ready)
        return ready

    async def close(self) -> None:
        """Wait for builds no more; they go on, and the next who asks finds them."""
        await self._builds.close()

    async def _build(self, spec: EngineSpec, digest: str) -> None:
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._failure(digest).unlink(missing_ok=True)
        try:
            async with asyncio.timeout(_SECONDS):
                while not await self._is_ready(digest) and not await self._install(spec, digest):
                    await self._clock.sleep(_POLL)  # another process had its name, and no container yet or any more
        except Refused as refused:
            failed = EngineFailed(f"Docker can't build it: {refused.message}")
            self._failure(digest).write_text(failed.detail)
            raise failed from refused
        except Unavailable:
            raise
        except Problem as failed:
            self._failure(digest).write_text(failed.detail)
            raise

    async def _install(self, spec: EngineSpec, digest: str) -> bool:
        """Build it, or wait for whoever does; False where nobody did. Raises EngineFailed, Refused, Unavailable."""
        progress = Progress(lambda value, detail: self._builds.tell(digest, value, detail))
        progress.reach(0.01, f"looking for {self._base}")
        base = await self._base_image()
        name = self._name(digest)
        ours = await self._daemon.create(name, self._configuration(base["Id"], digest))
        if ours and await self._is_ready(digest):
            await self._daemon.delete(name)  # the build that was there when we looked ended before ours was made
            return True
        if ours:
            await self._begin(name, spec)
        progress.reach(0.03, "the build runs")
        lines = await self._follow(name, progress)
        found = await self._ended(name)
        if found is None:
            return False
        failed = found["State"]["ExitCode"] != 0
        if not failed:
            progress.reach(0.99, "keeping the image")
            await self._keep(found["Id"], digest, _changes(base), ours=ours)
        await self._daemon.delete(found["Id"])  # by its id: another of that name may have been made
        if failed:
            raise EngineFailed("\n".join(lines) or f"The build ended with {found['State']['ExitCode']}.")
        return True

    async def _keep(self, container: str, digest: str, changes: Sequence[str], *, ours: bool) -> None:
        """Keep what was built. Whoever began it does that; the others only where that one seems to be dead."""
        for _ in range(0 if ours else _KEEP_LOOKS):
            if await self._is_ready(digest) or await self._daemon.container(container) is None:
                return
            await self._clock.sleep(_POLL)
        if not await self._is_ready(digest):
            await self._daemon.commit(container, self._repository, self.reference(digest).partition(":")[2], changes)

    async def _begin(self, name: str, spec: EngineSpec) -> None:
        try:
            await self._daemon.give(name, _BUILD, await asyncio.to_thread(self._files, spec))
            await self._daemon.start(name)
        except BaseException:
            await asyncio.shield(self._daemon.delete(name))  # or everybody would wait for a build that nobody began
            raise

    async def _tidy(self, digest: str) -> None:
        """Take away the container of a builder that was killed when its image was kept: looked for once."""
        if digest in self._tidied:
            return
        found = await self._daemon.container(self._name(digest))
        if found is not None and not found["State"]["Running"]:
            await self._daemon.delete(found["Id"])
        self._tidied.add(digest)

    async def _base_image(self) -> dict[str, Any]:
        try:
            return await fetch_image(self._daemon, self._base)
        except Unavailable:
            raise
        except Problem as problem:
            raise EngineFailed(problem.detail) from problem

    async def _follow(self, name: str, progress: Progress) -> list[str]:
        """Read what the build says until it ends; its last lines. A build that another began may not run yet."""
        for _ in range(_BEGIN_LOOKS):
            found = await self._daemon.container(name)
            if found is None or found["State"]["Status"] != "created":
                break
            await self._clock.sleep(_POLL)
        else:
            await self._daemon.delete(name)
            raise Unavailable("engine_not_begun", "Who was to build it was killed before it began; it is built anew.")
        last: deque[str] = deque(maxlen=LAST_LINES)
        async for line in self._daemon.lines(name):
            last.append(line)
            progress.line(line)
        return list(last)

    async def _ended(self, name: str) -> dict[str, Any] | None:
        """The container once it has ended; None where another process took it away, its work done."""
        while (found := await self._daemon.container(name)) is not None and found["State"]["Running"]:
            await self._clock.sleep(_POLL)
        return found

    def _configuration(self, base: str, digest: str) -> dict[str, Any]:
        links = [
            {"Type": "bind", "Source": str(path), "Target": f"/yard/links/{i}", "ReadOnly": True}
            for i, path in enumerate(self._find_links)
        ]
        return {
            "Image": base,
            "User": "0:0",
            "Entrypoint": ["/bin/sh", f"{_BUILD}/install"],
            "Cmd": [],
            "Labels": {_LABEL: digest},
            "HostConfig": {
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges:true"],
                "NetworkMode": "none" if self._offline else "default",
                "Mounts": [{"Type": "volume", "Target": _BUILD}, *links],
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "1"}},
            },
        }

    def _files(self, spec: EngineSpec) -> bytes:
        """What the build is given, as a tar: the installer, certificates, and what is to be done."""
        uv = Path(find_uv_bin())
        certificates = os.environ.get("SSL_CERT_FILE", "")
        files = {"uv": (uv.read_bytes(), 0o755), "install": (self._script(spec).encode(), 0o644)}
        if certificates and Path(certificates).is_file():
            files["certificates.crt"] = (Path(certificates).read_bytes(), 0o644)
        return _tar(files)

    def _script(self, spec: EngineSpec) -> str:
        uv = f"{_BUILD}/uv"
        told = {name: value for name, value in os.environ.items() if name.startswith("UV_") or name in _PROXIES}
        told |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_CACHE": "1", "UV_LINK_MODE": "copy", "HOME": _BUILD}
        exports = [f"export {name}={shlex.quote(value)}" for name, value in told.items()]
        install = [uv, "pip", "install", "--python", PLACE, "--compile-bytecode", "--no-progress"]
        for i in range(len(self._find_links)):
            install += ["--find-links", f"/yard/links/{i}"]
        install += ["--offline", "--no-index"] if self._offline else []
        install += [] if self._from_source else ["--no-build"]
        install += ["--", *(" ".join(text.split()) for text in spec.requirements)]
        steps = [shlex.join([uv, "venv", "--python", spec.python, "--no-project", PLACE])]
        steps += [shlex.join(install)] if spec.requirements else []
        trust = f"test ! -f {_BUILD}/certificates.crt || export SSL_CERT_FILE={_BUILD}/certificates.crt"
        return "\n".join(["set -e", *exports, trust, *steps, ""])

    def _name(self, digest: str) -> str:
        return "yard-engine-" + hashlib.sha256(self.reference(digest).encode()).hexdigest()[:24]

    def _failure(self, digest: str) -> Path:
        return self.root / f"{digest}.failed"

    async def _is_ready(self, digest: str) -> bool:
        return await self._daemon.image(self.reference(digest)) is not None

    def _ready(self, digest: str) -> EngineStatus:
        return EngineStatus(EngineState.READY, digest, progress=1.0, detail="ready", image=self.reference(digest))


_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY")


def _changes(base: Mapping[str, Any]) -> list[str]:
    """What the image says of itself: the engine's Python comes first."""
    told = dict(pair.split("=", 1) for pair in base["Config"].get("Env") or ())
    path = f"{PLACE}/bin:{told.get('PATH', _PATH)}"
    begin = 'ENTRYPOINT ["/usr/bin/env"]'  # an empty one would leave the build's own
    return [f"ENV PATH={path}", f"ENV VIRTUAL_ENV={PLACE}", begin, 'CMD ["python3"]']


def _tar(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
