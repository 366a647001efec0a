"""An inventory that is followed from a Docker engine: its machine is the one node."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from common.docker import Daemon, Refused
from common.inventory.local import LocalInventory, node_name
from common.kernel.accelerators import BUILT_IN, Accelerator
from common.kernel.errors import Unavailable
from common.kernel.labels import label_faults
from common.ports.inventory import Device, Node, problems_of

log = structlog.get_logger("inventory")

_CDI = re.compile(r"([^=]+)=(.+)\Z")


class DaemonInventory:
    """The machine of a Docker engine: its name, CPUs, memory and labels as the engine tells, and its accelerators.

    Those are what it was told to have (`node-generic-resources`, or CDI devices), and where it is told of none what
    `local` finds, for an engine on this machine. An engine that doesn't answer says nothing: what it told before stays,
    and `problems` says so. Nodes are Unavailable only where it never answered.
    """

    def __init__(self, daemon: Daemon, kinds: Sequence[Accelerator] = BUILT_IN, local: LocalInventory | None = None):
        self.problems: tuple[str, ...] = ()
        self._daemon = daemon
        self._kinds = tuple(kinds)
        self._local = local
        self._node: Node | None = None

    async def nodes(self) -> Sequence[Node]:
        """The machine of the engine. Raises Unavailable where it was never told of."""
        try:
            told: Mapping[str, Any] = await self._daemon.ask(lambda docker: docker.system.info())
        except (Unavailable, Refused) as error:
            self._doubt((f"The Docker engine at {self._daemon.url} does not tell: {error}",))
            if self._node is None:
                raise Unavailable("inventory_unread", self.problems[0]) from error
            return [self._node]
        local = await self._local.devices() if self._local is not None else ()
        self._node = node_of(told, self._kinds, local)
        self._doubt(problems_of(self._local) if self._local is not None else ())
        return [self._node]

    def _doubt(self, problems: tuple[str, ...]) -> None:
        if problems and problems != self.problems:
            log.warning("inventory is in doubt", problems=list(problems))
        self.problems = problems


def node_of(told: Mapping[str, Any], kinds: Sequence[Accelerator], local: Sequence[Device] = ()) -> Node:
    """The node that an engine's `info` tells of. Pure."""
    labels = dict(pair.partition("=")[::2] for pair in told.get("Labels") or ())
    labels = {key: value for key, value in labels.items() if not list(label_faults({key: value}, ""))}
    found = {device.id: device for device in _devices(told, kinds)}
    known = {device.id: device for device in local}
    simulated = [device for device in local if device.simulated and device.id not in found]
    devices = [known.get(name, device) for name, device in found.items()] + simulated if found else list(local)
    return Node(
        node_name(str(told.get("Name") or "")),
        cpu=float(told.get("NCPU") or 1),
        memory=int(told.get("MemTotal") or 0),
        devices=tuple(replace(device) for device in devices),
        labels={"os": str(told.get("OSType") or "linux"), "arch": str(told.get("Architecture") or "unknown")} | labels,
    )


def _devices(told: Mapping[str, Any], kinds: Sequence[Accelerator]) -> Iterator[Device]:
    for kind in kinds:
        for name in _generic(told, kind) or _cdi(told, kind):
            yield Device(f"{kind.kind}-{name}", kind.kind, kind.resource, resource=kind.resource)


def _generic(told: Mapping[str, Any], kind: Accelerator) -> list[str]:
    """Generic resources of that kind: by name (`NVIDIA-GPU=GPU-4d…`), or so many of them."""
    words = {
        kind.kind,
        kind.resource.lower(),
        f"nvidia-{kind.kind}" if kind.resource == "nvidia.com/gpu" else kind.kind,
    }
    names: list[str] = []
    for entry in told.get("GenericResources") or ():
        one, many = entry.get("NamedResourceSpec") or {}, entry.get("DiscreteResourceSpec") or {}
        if str(one.get("Kind", "")).lower() in words:
            names.append(str(one["Value"]))
        elif str(many.get("Kind", "")).lower() in words:
            names += [str(len(names) + number) for number in range(int(many.get("Value") or 0))]
    return names


def _cdi(told: Mapping[str, Any], kind: Accelerator) -> list[str]:
    """CDI devices of that kind; each has a number besides its UUID, and `all` are all of them."""
    found = (_CDI.match(str(one.get("ID", ""))) for one in told.get("DiscoveredDevices") or ())
    return sorted(
        {match[2] for match in found if match and match[1] == kind.resource and match[2].isdecimal()}, key=int
    )
