"""Which nodes and devices there are, by the scheme of `YARD_INVENTORY_URL`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from common.hosting.settings import MachineSettings
from common.inventory.file import FileInventory
from common.inventory.local import LocalInventory, host_name, node_name, parse_simulated
from common.kernel.accelerators import parse_accelerators
from common.kernel.clock import Clock
from common.kernel.errors import Invalid
from common.ports.inventory import Inventory

FOLLOW = "runtime:"
"""As the runtime tells: the default."""

Opening = Callable[[str, MachineSettings, Clock], Inventory]


def local_inventory(settings: MachineSettings, clock: Clock, url: str = "local:") -> LocalInventory:
    """This machine as the one node. `local:?name=…&simulated=gpu:4:A100:80GiB` calls it so, with such devices.

    Raises Invalid (`bad_inventory_url`, `bad_devices`)."""
    given = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    if unknown := sorted(given.keys() - {"name", "simulated"}):
        raise _bad(url, f"local: knows name= and simulated=, and not {', '.join(unknown)}=.")
    declared = given.get("simulated") or (f"gpu:{settings.simulated_gpus}" if settings.simulated_gpus else "")
    simulated = parse_simulated(declared, parse_accelerators(settings.accelerators))
    name = given.get("name")
    return LocalInventory(node_name(name) if name else kept_name(settings.home), simulated=simulated, clock=clock)


def kept_name(home: Path) -> str:
    """What this machine was called when its state folder was new. A machine that is given another name is still the one
    on which its workloads run, and no node that was lost."""
    home.mkdir(parents=True, exist_ok=True)
    place, mine = home / "node", home / f"node.{os.getpid()}"
    if not place.exists():
        mine.write_text(host_name())
        with contextlib.suppress(FileExistsError):  # another service of this machine was quicker
            os.link(mine, place)
        mine.unlink()
    return node_name(place.read_text())


def declared_inventory(url: str, settings: MachineSettings) -> FileInventory:
    """`file:/path`: nodes that a file declares. Raises Invalid (`bad_inventory_url`)."""
    path = unquote(urlsplit(url).path)
    if not path.startswith("/"):
        raise _bad(url, "file: names a file by its whole path, such as file:/etc/modelyard/nodes.yaml.")
    return FileInventory(Path(path), parse_accelerators(settings.accelerators))


INVENTORIES: Mapping[str, Opening] = {
    "local": lambda url, settings, clock: local_inventory(settings, clock, url),
    "file": lambda url, settings, _clock: declared_inventory(url, settings),
}
"""How each scheme is opened; `runtime` is what the workplace itself follows."""


def open_inventory(settings: MachineSettings, clock: Clock, follow: Callable[[], Inventory]) -> Inventory:
    """What the settings name; `follow` makes the runtime's own. Raises Invalid (`bad_inventory_url`)."""
    url = settings.inventory_url or FOLLOW
    scheme = urlsplit(url).scheme
    if scheme == "runtime":
        return follow()
    if scheme not in INVENTORIES:
        raise _bad(url, f"It begins with one of {', '.join(f'{name}:' for name in (*INVENTORIES, 'runtime'))}.")
    return INVENTORIES[scheme](url, settings, clock)


def _bad(url: str, reason: str) -> Invalid:
    return Invalid("bad_inventory_url", f"YARD_INVENTORY_URL={url}: {reason}")
