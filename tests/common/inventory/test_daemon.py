"""What a Docker engine tells of its machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from common.docker import Daemon
from common.inventory.daemon import DaemonInventory, node_of
from common.kernel.accelerators import BUILT_IN, parse_accelerators
from common.kernel.errors import Unavailable
from common.ports.inventory import Device

pytestmark = pytest.mark.row("T9")

INFO: dict[str, Any] = {"Name": "Box_1", "NCPU": 8, "MemTotal": 1 << 34, "OSType": "linux", "Architecture": "aarch64"}


def ids(told: dict[str, Any], *local: Device) -> list[str]:
    """The devices of the machine that is told of."""
    kinds = parse_accelerators('{"amd.com/gpu": "rocm"}')
    return [device.id for device in node_of({**INFO, **told}, kinds, local).devices]


def test_the_machine_is_the_node():
    node = node_of({**INFO, "Labels": ["disk=nvme", "bad label=x", "flag"]}, BUILT_IN)
    assert (node.name, node.cpu, node.memory) == ("box-1", 8.0, 1 << 34)
    assert node.labels == {"os": "linux", "arch": "aarch64", "disk": "nvme", "flag": ""}


def test_generic_resources_are_devices():
    named = [{"NamedResourceSpec": {"Kind": "NVIDIA-GPU", "Value": f"GPU-{n}"}} for n in range(2)]
    counted = [{"DiscreteResourceSpec": {"Kind": "rocm", "Value": 2}}, {"DiscreteResourceSpec": {"Kind": "SSD"}}]
    assert ids({"GenericResources": named + counted}) == ["gpu-GPU-0", "gpu-GPU-1", "rocm-0", "rocm-1"]


def test_cdi_devices_are_counted_once():
    told = [{"Source": "cdi", "ID": f"nvidia.com/gpu={name}"} for name in ("0", "10", "2", "GPU-5d5b", "all")]
    assert ids({"DiscoveredDevices": told}) == ["gpu-0", "gpu-2", "gpu-10"]


def test_what_the_tools_here_know_of_a_device_is_kept():
    known = Device("gpu-0", "gpu", "NVIDIA H200", 141 << 30)
    node = node_of({**INFO, "DiscoveredDevices": [{"ID": "nvidia.com/gpu=0"}]}, BUILT_IN, [known])
    assert list(node.devices) == [known]
    assert ids({}, known) == ["gpu-0"]


class Moody(Daemon):
    """An engine that answers while it is `well`."""

    well = False

    async def ask(self, question: Callable[[Any], Awaitable[Any]], seconds: float | None = None) -> Any:
        """Its information."""
        if not self.well:
            raise Unavailable("docker_unreachable", "It is away.")
        return INFO


async def test_an_engine_that_is_away_takes_nothing_away():
    daemon = Moody()
    inventory = DaemonInventory(daemon)
    with pytest.raises(Unavailable, match="does not tell"):
        await inventory.nodes()
    daemon.well = True
    before = await inventory.nodes()
    assert "".join(inventory.problems) == ""
    daemon.well = False
    assert await inventory.nodes() == before
    assert "It is away" in inventory.problems[0]
