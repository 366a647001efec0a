"""The local inventory: recorded output of the vendors' tools, simulated devices, and machines without any."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.inventory import LocalInventory, parse_simulated
from common.inventory.local import memory_bytes
from common.inventory.smi import parse_ascend, parse_nvidia
from common.kernel.clock import ManualClock
from common.kernel.errors import Invalid
from common.ports.inventory import Device

GIB = 1 << 30

NVIDIA = """\
0, NVIDIA A100-SXM4-80GB, 81920
1, NVIDIA A100-SXM4-80GB, 81920
3, NVIDIA H200, 143771
"""

NVIDIA_BROKEN = """\
0, NVIDIA GeForce RTX 3090, 24576
1, [Unknown Error], [Unknown Error]
2, NVIDIA GB10, [N/A]
Unable to determine the device handle for GPU 0000:3B:00.0: Unknown Error
"""

ASCEND_910B = """\
+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.rc1                 Version: 24.1.rc1                                             |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B3               | OK            | 101.8       43                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3318 / 65536         |
+===========================+===============+====================================================+
| 1     910B3               | Alarm         | 92.0        39                0    / 0             |
| 0                         | 0000:C2:00.0  | 0           0    / 0          59356/ 65536         |
+===========================+===============+====================================================+
| 2     910B3               | Warning       | 102.0       40                0    / 0             |
| 0                         | 0000:81:00.0  | 0           0    / 0          3314 / 65536         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 0       0                 | 1712733       | python                   | 48954                   |
+===========================+===============+====================================================+
"""

ASCEND_910_TWO_CHIPS = """\
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip  Phy-ID              | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     Ascend910           | OK            | 180.2       35                0    / 0             |
| 0     0                   | 0000:9D:00.0  | 0           0    / 0          3100 / 65536         |
| 0     Ascend910           | OK            | -           36                0    / 0             |
| 1     1                   | 0000:9F:00.0  | 0           0    / 0          2900 / 65536         |
+===========================+===============+====================================================+
"""

ASCEND_310 = """\
| NPU     Name              | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device            | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===========================+=================+======================================================+
| 8       310P3             | OK              | NA           41                0     / 0             |
| 0       0                 | 0000:01:00.0    | 0            1706 / 21527                            |
+===========================+=================+======================================================+
"""


NVIDIA_DIVIDED = """\
0, NVIDIA A100-SXM4-40GB, 40960, Enabled
1, NVIDIA A100-SXM4-40GB, 40960, Disabled
2, NVIDIA A100-SXM4-40GB, 40960, Enabled
3, Tesla T4, 15360, [N/A]
"""

NVIDIA_PARTS = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 1g.5gb+me   Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-6d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
GPU 2: NVIDIA A100-SXM4-40GB (UUID: GPU-7d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
GPU 3: Tesla T4 (UUID: GPU-8d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
"""

ASCEND_910A = """\
+------------------------------------------------------------------------------------------------+
| npu-smi 22.0.2                   Version: 22.0.2                                               |
+----------------------+---------------+---------------------------------------------------------+
| NPU   Name           | Health        | Power(W)     Temp(C)           Hugepages-Usage(page)     |
| Chip                 | Bus-Id        | AICore(%)    Memory-Usage(MB)  HBM-Usage(MB)             |
+======================+===============+=========================================================+
| 0     910A           | OK            | 67.2         40                0    / 0                  |
| 0                    | 0000:C1:00.0  | 0            2432 / 15137      0    / 32768              |
+======================+===============+=========================================================+
| 4     910ProA        | OK            | 66.1         38                0    / 0                  |
| 0                    | 0000:01:00.0  | 0            1981 / 15137      0    / 32768              |
+======================+===============+=========================================================+
"""


def test_nvidia_devices():
    assert parse_nvidia(NVIDIA) == (
        Device("gpu-0", "gpu", "NVIDIA A100-SXM4-80GB", 80 * GIB),
        Device("gpu-1", "gpu", "NVIDIA A100-SXM4-80GB", 80 * GIB),
        Device("gpu-3", "gpu", "NVIDIA H200", 143771 << 20),
    )


def test_a_card_that_fell_off_the_bus_is_left_out():
    found = parse_nvidia(NVIDIA_BROKEN)
    assert [(device.id, device.memory) for device in found] == [("gpu-0", 24 * GIB), ("gpu-2", 0)]


def test_ascend_devices_keep_their_numbers_where_one_is_ill():
    assert parse_ascend(ASCEND_910B) == (
        Device("npu-0", "npu", "Ascend 910B3", 64 * GIB),
        Device("npu-2", "npu", "Ascend 910B3", 64 * GIB),
    )


def test_a_divided_gpu_is_its_parts_and_nothing_where_it_has_none():
    found = parse_nvidia(NVIDIA_DIVIDED, NVIDIA_PARTS)
    assert found == (
        Device("gpu-MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", "gpu", "NVIDIA A100-SXM4-40GB MIG 3g.20gb", 20 * GIB),
        Device("gpu-MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb", "gpu", "NVIDIA A100-SXM4-40GB MIG 1g.5gb+me", 5 * GIB),
        Device("gpu-1", "gpu", "NVIDIA A100-SXM4-40GB", 40 * GIB),
        Device("gpu-3", "gpu", "Tesla T4", 15 * GIB),
    )
    assert {device.resource for device in found} == {"nvidia.com/gpu"}


def test_a_card_that_is_missing_renumbers_no_other():
    assert parse_ascend(ASCEND_910A) == (
        Device("npu-0", "npu", "Ascend 910A", 32 * GIB),
        Device("npu-4", "npu", "Ascend 910ProA", 32 * GIB),
    )


def test_a_card_of_two_chips_is_two_devices():
    found = parse_ascend(ASCEND_910_TWO_CHIPS)
    assert [(device.id, device.model) for device in found] == [("npu-0", "Ascend910"), ("npu-1", "Ascend910")]


def test_a_card_without_hbm_has_its_main_memory():
    assert parse_ascend(ASCEND_310) == (Device("npu-0", "npu", "Ascend 310P3", 21527 << 20),)


@given(st.text())
def test_no_output_breaks_the_readers(text):
    assert all(device.kind == "gpu" for device in parse_nvidia(text))
    assert all(device.kind == "npu" for device in parse_ascend(text))


@given(st.integers(0, 20), st.integers(0, 20))
def test_simulated_devices_say_so(gpus, npus):
    found = parse_simulated(f"gpu:{gpus}:A100:80GiB, npu:{npus}")
    assert all(device.simulated for device in found)
    assert [d.id for d in found] == [f"gpu-{i}" for i in range(gpus)] + [f"npu-{i}" for i in range(npus)]
    assert {(d.model, d.memory) for d in found if d.kind == "gpu"} <= {("A100", 80 * GIB)}


@pytest.mark.parametrize("text", ["tpu:1", "gpu", "gpu:x", "gpu:1,gpu:2", "gpu:-1", "gpu:1:A:1GB", "gpu:99999"])
def test_a_wrong_declaration_is_refused(text):
    with pytest.raises(Invalid) as caught:
        parse_simulated(text)
    assert caught.value.code == "bad_devices"


def tool(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


async def test_without_tools_there_are_no_devices(tmp_path):
    inventory = LocalInventory("here", path=str(tmp_path))
    (node,) = await inventory.nodes()
    assert (node.name, node.devices, inventory.problems) == ("here", (), ())
    assert node.cpu == len(os.sched_getaffinity(0))
    assert node.memory > 1 << 28


async def test_tools_are_asked_and_their_answer_is_kept(tmp_path):
    (tmp_path / "answer").write_text(NVIDIA)
    tool(tmp_path, "nvidia-smi", f"echo asked >> {tmp_path}/asked; /bin/cat {tmp_path}/answer")
    tool(tmp_path, "npu-smi", "echo 'dcmi module initialize failed. ret is -8005'; exit 1")
    clock = ManualClock()
    inventory = LocalInventory("here", clock=clock, keep=60, path=str(tmp_path))
    for _ in range(3):
        (node,) = await inventory.nodes()
        assert [device.id for device in node.devices] == ["gpu-0", "gpu-1", "gpu-3"]
    assert inventory.problems == ("npu-smi failed: dcmi module initialize failed. ret is -8005",)
    assert (tmp_path / "asked").read_text() == "asked\n"
    (tmp_path / "answer").write_text("")
    clock.advance(61)
    assert (await inventory.nodes())[0].devices == ()


async def test_a_tool_that_fails_takes_no_device_away(tmp_path):
    """The driver that can't be asked says nothing about what runs on the devices."""
    tool(tmp_path, "nvidia-smi", "echo '0, NVIDIA H200, 143771, Disabled'")
    clock = ManualClock()
    inventory = LocalInventory("here", clock=clock, keep=60, path=str(tmp_path))
    before = await inventory.nodes()
    tool(tmp_path, "nvidia-smi", "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
    clock.advance(61)
    assert [node.devices for node in await inventory.nodes()] == [node.devices for node in before]
    (problem,) = inventory.problems
    assert "version mismatch" in problem
    assert "the 1 that it showed before are kept" in problem
    tool(tmp_path, "nvidia-smi", "echo 'No devices were found'; exit 6")
    clock.advance(61)
    assert (await inventory.nodes())[0].devices == ()
    assert inventory.problems == ()


async def test_a_divided_gpu_and_an_old_driver_are_asked_again(tmp_path):
    (tmp_path / "rows").write_text(NVIDIA_DIVIDED)
    (tmp_path / "parts").write_text(NVIDIA_PARTS)
    tool(tmp_path, "nvidia-smi", f'[ "$1" = -L ] && exec /bin/cat {tmp_path}/parts; exec /bin/cat {tmp_path}/rows')
    (node,) = await LocalInventory("here", path=str(tmp_path)).nodes()
    assert len(node.devices) == 4
    refusal = 'Field "mig.mode.current" is not a valid field to query.'
    tool(tmp_path, "nvidia-smi", f"case $1 in *mig*) echo '{refusal}'; exit 2;; esac; echo '0, Tesla K80, 11441'")
    old = LocalInventory("here", path=str(tmp_path))
    assert [device.model for device in (await old.nodes())[0].devices] == ["Tesla K80"]
    assert old.problems == ()


async def test_simulated_devices_stand_in_place_of_real_ones(tmp_path):
    tool(tmp_path, "nvidia-smi", "echo '0, NVIDIA H200, 143771'")
    inventory = LocalInventory("here", simulated=parse_simulated("gpu:2"), path=str(tmp_path))
    (node,) = await inventory.nodes()
    assert [(device.id, device.simulated) for device in node.devices] == [("gpu-0", True), ("gpu-1", True)]


async def test_the_name_is_one_that_a_node_may_have():
    (node,) = await LocalInventory(path="").nodes()
    assert node.name
    assert set(node.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_containers_limit_counts(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       16000000 kB\nMemFree: 1 kB\n")
    assert memory_bytes(meminfo, tmp_path) == 16_000_000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_bytes(meminfo, tmp_path) == 16_000_000 * 1024
    (tmp_path / "memory.max").write_text("1073741824\n")
    assert memory_bytes(meminfo, tmp_path) == GIB
