"""What every inventory must tell. Adapters are listed in `ADAPTERS`; the tests don't know which one they run on."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from common.docker import Daemon
from common.inventory import DaemonInventory, FileInventory, LocalInventory, parse_simulated
from common.kernel.accelerators import kind_of, parse_accelerators
from common.kernel.labels import label_faults, node_name_fault
from common.ports.inventory import Device, Inventory, Node

NVIDIA = """#!/bin/sh
echo '0, NVIDIA A100-SXM4-80GB, 81920'
echo '1, NVIDIA A100-SXM4-80GB, 81920'
"""


def bare(folder: Path) -> Inventory:
    """The machine without accelerators."""
    return LocalInventory(path=str(folder))


def simulated(folder: Path) -> Inventory:
    """The machine with declared devices."""
    return LocalInventory(path=str(folder), simulated=parse_simulated("gpu:4:A100:80GiB,npu:2"))


def with_tools(folder: Path) -> Inventory:
    """The machine with a vendor's tool."""
    tool = folder / "nvidia-smi"
    tool.write_text(NVIDIA)
    tool.chmod(0o755)
    return LocalInventory(path=f"{folder}:/usr/bin:/bin")


DECLARED = """
clusters:
  hall-a:
    labels: {site: north}
    nodes:
      - {name: "a100-[1-3]", cpu: 64, memory: 512Gi, domain: ib-1, devices: [{kind: nvidia.com/gpu, count: 8}]}
      - {name: mi300, cpu: 96, memory: 1Ti, devices: [{kind: rocm, model: MI300X, memory: 192Gi, count: 4}]}
  hall-b:
    nodes: [{name: "ascend-1", cpu: 32, memory: 256Gi, devices: [{kind: npu, ids: [0, 4]}]}]
"""
KINDS = parse_accelerators('{"amd.com/gpu": "rocm"}')


def declared(folder: Path) -> Inventory:
    """What a file declares."""
    (folder / "nodes.yaml").write_text(DECLARED)
    return FileInventory(folder / "nodes.yaml", KINDS)


def declared_simulated(folder: Path) -> Inventory:
    """What a file declares for trying things out."""
    text = DECLARED.replace("    nodes:", "    simulated: true\n    nodes:")
    (folder / "nodes.yaml").write_text(text)
    return FileInventory(folder / "nodes.yaml", KINDS)


class Told(Daemon):
    """A Docker engine that tells what is written here."""

    async def ask(self, question: Callable[[Any], Awaitable[Any]], seconds: float | None = None) -> Any:
        """Its information, whatever is asked."""
        named = [{"NamedResourceSpec": {"Kind": "NVIDIA-GPU", "Value": f"GPU-{n}d5ba0d6"}} for n in range(2)]
        labels = ["disk=nvme", "what nobody=can select"]
        machine = {"Name": "Box.Example", "NCPU": 8, "MemTotal": 16 << 30, "Labels": labels, "OSType": "linux"}
        return {**machine, "Architecture": "x86_64", "GenericResources": named}


def followed(_folder: Path) -> Inventory:
    """What a Docker engine tells of its machine."""
    return DaemonInventory(Told())


ADAPTERS: dict[str, Callable[[Path], Inventory]] = {
    "bare": bare,
    "simulated": simulated,
    "with tools": with_tools,
    "declared": declared,
    "declared simulated": declared_simulated,
    "followed": followed,
}


@pytest.fixture(params=ADAPTERS)
def inventory(request: pytest.FixtureRequest, tmp_path: Path) -> Inventory:
    return ADAPTERS[request.param](tmp_path)


def devices(nodes: list[Node]) -> list[Device]:
    return [device for node in nodes for device in node.devices]


async def test_nodes_have_names_and_something_to_give(inventory: Inventory) -> None:
    nodes = await inventory.nodes()
    names = [node.name for node in nodes]
    assert names == sorted(set(names))
    assert names
    for node in nodes:
        assert node_name_fault(node.name) is None
        assert node_name_fault(node.cluster) is None
        assert list(label_faults(node.labels, "labels")) == []
        assert node.cpu > 0
        assert node.memory > 1 << 20


async def test_devices_can_be_told_apart_and_allocated(inventory: Inventory) -> None:
    for node in await inventory.nodes():
        ids = [device.id for device in node.devices]
        assert len(ids) == len(set(ids))
        for device in node.devices:
            kind = next(one for one in KINDS if one.kind == device.kind)
            assert kind_of(device.id) == device.kind, "a runtime makes the rest visible to code"
            assert device.resource == kind.resource
            assert len(device.id) <= 64
            assert device.model
            assert device.memory >= 0


async def test_asked_again_it_tells_the_same(inventory: Inventory) -> None:
    assert await inventory.nodes() == await inventory.nodes()


async def test_only_declared_devices_are_simulated(inventory: Inventory, request: pytest.FixtureRequest) -> None:
    declared = "simulated]" in request.node.name
    found = devices(list(await inventory.nodes()))
    assert all(device.simulated == declared for device in found)
    assert bool(found) == ("[bare]" not in request.node.name)
