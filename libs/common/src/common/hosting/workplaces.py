"""What workloads run on, by the scheme of `YARD_RUNTIME_URL`: a runtime and the ports that go with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from common.docker import Daemon, engine_url
from common.hosting.inventories import local_inventory, open_inventory
from common.hosting.settings import MachineSettings
from common.images import DockerEngines, LocalEngines, choose_interpreter
from common.inventory.daemon import DaemonInventory
from common.kernel.accelerators import parse_accelerators
from common.kernel.clock import Clock
from common.kernel.errors import Invalid
from common.ports.files import Files
from common.ports.images import Engines
from common.ports.inventory import Inventory
from common.ports.runtime import Runtime
from common.ports.staging import Staging
from common.runtime.docker import DockerRuntime, DockerSettings
from common.runtime.process import ProcessRuntime
from common.staging.local import LocalStaging


@dataclass(frozen=True)
class Workplace:
    """A runtime, with the engines, the inventory and the staging that fit it. `look` raises where it is not well."""

    runtime: Runtime
    engines: Engines
    inventory: Inventory
    staging: Staging
    look: Callable[[], Awaitable[None]] | None = None


Opening = Callable[[str, MachineSettings, Files, Clock], Workplace]
"""`(url, settings, files, clock)`; nothing is started yet."""


def on_processes(url: str, settings: MachineSettings, files: Files, clock: Clock) -> Workplace:
    """`process:/folder`: child processes of this machine, below that folder or the state folder."""
    place = unquote(urlsplit(url).path)
    home = Path(place) if place else settings.home.absolute() / "run"
    kinds = parse_accelerators(settings.accelerators)
    return Workplace(
        runtime=ProcessRuntime(home, clock=clock, interpreter=choose_interpreter(), kinds=kinds),
        engines=LocalEngines(settings.engines),
        inventory=open_inventory(settings, clock, lambda: local_inventory(settings, clock)),
        staging=LocalStaging(files, home / "staging", limit_bytes=settings.staging_cache_bytes),
    )


def on_docker(url: str, settings: MachineSettings, files: Files, clock: Clock) -> Workplace:
    """`docker:unix:///path?base=…`: containers of a Docker engine, with folders below the state folder.

    Raises Invalid (`bad_runtime`) for an address or an option that it doesn't know."""
    home = settings.home.absolute() / "run"
    kinds = parse_accelerators(settings.accelerators)
    told = replace(docker_settings(url), kinds=kinds, roots=tuple(settings.shared_roots.values()))
    daemon = Daemon(engine_url(url.partition("?")[0]))

    def follow() -> Inventory:
        here = local_inventory(settings, clock)  # whose tools see what an engine on this machine has
        return DaemonInventory(daemon, kinds, here if daemon.url.startswith("unix:") else here.only_simulated())

    async def look() -> None:
        await daemon.ask(lambda docker: docker.version())

    return Workplace(
        runtime=DockerRuntime(home, daemon, told),
        engines=DockerEngines(settings.engines, daemon, base_image=told.base_image, clock=clock),
        inventory=open_inventory(settings, clock, follow),
        staging=LocalStaging(files, home / "staging", limit_bytes=settings.staging_cache_bytes),
        look=look,
    )


def docker_settings(url: str) -> DockerSettings:
    """The options after `?`: `base` (the image of workloads and engines that bring none), `pool` (addresses of owners'
    networks), `internet=yes`, `reached_by=gateway`, `accelerators=gpu,npu`, and for a platform in a container
    `host=/folder/here:/folder/on/dockers/machine`. Raises Invalid (`bad_runtime`)."""
    given = dict(parse_qsl(url.partition("?")[2], keep_blank_values=True))
    fields: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _DOCKER or (name == "reached_by" and value not in ("host", "gateway")):
            raise Invalid(
                "bad_runtime", f"docker: has no option {name}={value}; it knows {', '.join(sorted(_DOCKER))}."
            )
        field, read = _DOCKER[name]
        fields[field] = read(value)
    return DockerSettings(**fields)


def _host_paths(value: str) -> dict[Path, Path]:
    here, _, there = value.partition(":")
    return {Path(here): Path(there)}


_DOCKER: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "base": ("base_image", str),
    "pool": ("pool", str),
    "internet": ("internet", lambda value: value == "yes"),
    "reached_by": ("reached_by", str),
    "accelerators": ("accelerators", lambda value: tuple(filter(None, value.split(",")))),
    "host": ("host_paths", _host_paths),
}

WORKPLACES: Mapping[str, Opening] = {"process": on_processes, "docker": on_docker}
"""How each scheme is opened."""


def open_workplace(url: str, settings: MachineSettings, files: Files, clock: Clock) -> Workplace:
    """The workplace of a URL. Raises Invalid (`unknown_runtime`)."""
    opening = WORKPLACES.get(urlsplit(url).scheme)
    if opening is None:
        known = ", ".join(f"{scheme}:" for scheme in WORKPLACES)
        raise Invalid("unknown_runtime", f"YARD_RUNTIME_URL begins with one of {known}")
    return opening(url, settings, files, clock)
