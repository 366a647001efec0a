"""What workloads run on, by the scheme of `YARD_RUNTIME_URL`: a runtime and the ports that go with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.hosting.settings import MachineSettings
from common.images import LocalEngines, choose_interpreter
from common.inventory.local import LocalInventory, parse_simulated
from common.kernel.clock import Clock
from common.kernel.errors import Invalid
from common.ports.files import Files
from common.ports.images import Engines
from common.ports.inventory import Inventory
from common.ports.runtime import Runtime
from common.ports.staging import Staging
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
    return Workplace(
        runtime=ProcessRuntime(home, clock=clock, interpreter=choose_interpreter()),
        engines=LocalEngines(settings.engines),
        inventory=local_inventory(settings, clock),
        staging=LocalStaging(files, home / "staging", limit_bytes=settings.staging_cache_bytes),
    )


def local_inventory(settings: MachineSettings, clock: Clock) -> LocalInventory:
    """This machine as the one node, with the simulated devices that are declared."""
    simulated = parse_simulated(f"gpu:{settings.simulated_gpus}") if settings.simulated_gpus else ()
    return LocalInventory(simulated=simulated, clock=clock)


WORKPLACES: Mapping[str, Opening] = {"process": on_processes}
"""How each scheme is opened."""


def open_workplace(url: str, settings: MachineSettings, files: Files, clock: Clock) -> Workplace:
    """The workplace of a URL. Raises Invalid (`unknown_runtime`)."""
    opening = WORKPLACES.get(urlsplit(url).scheme)
    if opening is None:
        known = ", ".join(f"{scheme}:" for scheme in WORKPLACES)
        raise Invalid("unknown_runtime", f"YARD_RUNTIME_URL begins with one of {known}")
    return opening(url, settings, files, clock)
