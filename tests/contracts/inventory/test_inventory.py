"""What every inventory must tell. Adapters are listed in `ADAPTERS`; the tests don't know which one they run on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from common.inventory.local import LocalInventory, parse_simulated
from common.kernel.names import name_faults
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


ADAPTERS: dict[str, Callable[[Path], Inventory]] = {"bare": bare, "simulated": simulated, "with tools": with_tools}


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
        assert name_faults(node.name) == []
        assert node.cpu > 0
        assert node.memory > 1 << 20


async def test_devices_can_be_told_apart_and_allocated(inventory: Inventory) -> None:
    for node in await inventory.nodes():
        ids = [device.id for device in node.devices]
        assert len(ids) == len(set(ids))
        for device in node.devices:
            assert device.kind in ("gpu", "npu")
            assert device.id.removeprefix(f"{device.kind}-").isdigit(), "a runtime makes the number visible to code"
            assert device.model
            assert device.memory >= 0


async def test_asked_again_it_tells_the_same(inventory: Inventory) -> None:
    assert await inventory.nodes() == await inventory.nodes()


async def test_only_declared_devices_are_simulated(inventory: Inventory, request: pytest.FixtureRequest) -> None:
    declared = "[simulated]" in request.node.name
    found = devices(list(await inventory.nodes()))
    assert all(device.simulated == declared for device in found)
    assert bool(found) == ("[bare]" not in request.node.name)
