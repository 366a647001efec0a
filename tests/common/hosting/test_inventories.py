"""`YARD_INVENTORY_URL` and `YARD_ACCELERATORS`: which inventory is opened, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from common.files.local import LocalFiles
from common.hosting.settings import MachineSettings
from common.hosting.workplaces import open_workplace
from common.inventory import DaemonInventory, FileInventory, LocalInventory
from common.kernel.clock import SystemClock
from common.kernel.errors import Invalid
from common.ports.inventory import Inventory

pytestmark = pytest.mark.row("T9")

ROCM = '{"amd.com/gpu": {"kind": "rocm", "variables": ["ROCR_VISIBLE_DEVICES"]}}'


def opened(folder: Path, runtime: str = "process:", **told: str) -> Inventory:
    """The inventory of a platform with these settings."""
    settings = MachineSettings.model_validate({"home": folder, **told})
    return open_workplace(runtime, settings, LocalFiles(folder / "files"), SystemClock()).inventory


async def test_each_scheme_has_its_inventory(tmp_path: Path) -> None:
    assert isinstance(opened(tmp_path), LocalInventory)
    assert isinstance(opened(tmp_path, "docker:", inventory_url="runtime:"), DaemonInventory)
    assert isinstance(opened(tmp_path, "docker:", inventory_url="local:"), LocalInventory)
    assert isinstance(opened(tmp_path, inventory_url="file:/etc/nodes.yaml"), FileInventory)
    url = "local:?name=Box 1&simulated=gpu:1:A100:80GiB,rocm:2"
    (node,) = await opened(tmp_path, inventory_url=url, accelerators=ROCM).nodes()
    assert node.name == "box-1"
    assert [(device.id, device.resource) for device in node.devices if device.simulated] == [
        ("gpu-0", "nvidia.com/gpu"),
        ("rocm-0", "amd.com/gpu"),
        ("rocm-1", "amd.com/gpu"),
    ]


async def test_a_machine_that_is_renamed_is_still_the_same_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = await opened(tmp_path).nodes()
    monkeypatch.setattr("socket.gethostname", lambda: "renamed")
    (after,) = await opened(tmp_path).nodes()
    assert after.name == before.name != "renamed"
    (elsewhere,) = await opened(tmp_path / "other").nodes()
    assert elsewhere.name == "renamed"


@pytest.mark.parametrize(
    "url", ["nodes.yaml", "http://x", "file:nodes.yaml", "local:?gpus=4", "local:?simulated=tpu:1"]
)
def test_what_means_nothing_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(Invalid) as caught:
        opened(tmp_path, inventory_url=url)
    assert caught.value.code in ("bad_inventory_url", "bad_devices")


def test_a_wrong_kind_is_told_at_start(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="no JSON"):
        opened(tmp_path, accelerators="rocm")
