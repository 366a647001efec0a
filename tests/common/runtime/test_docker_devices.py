"""What Docker is asked for, so that a container has exactly its accelerators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.kernel.accelerators import parse_accelerators
from common.ports.runtime import LaunchSpec
from common.runtime.docker import DockerSettings
from common.runtime.docker.container import configuration
from common.runtime.docker.plan import settle

pytestmark = pytest.mark.row("T9")

KINDS = parse_accelerators('{"amd.com/gpu": {"kind": "rocm", "variables": ["ROCR_VISIBLE_DEVICES"]}}')
DEVICES = ("gpu-2", "gpu-5", "npu-3", "rocm-1")


def asked(*real: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The container's host configuration and its workload's environment, where devices of these kinds are real."""
    spec = LaunchSpec(workload="att-1", owner="alice", command=("true",), devices=DEVICES)
    settled = settle(spec, {"Id": "sha256:0"}, {}, 1000, "net", KINDS, real)
    config = configuration(settled, Path("/w"), "one", DockerSettings(kinds=KINDS), real)
    return config["HostConfig"], settled["environment"]


def test_real_devices_are_handed_through_and_counted_from_the_first():
    host, environment = asked("gpu", "npu", "rocm")
    assert host["DeviceRequests"] == [
        {"Driver": "nvidia", "DeviceIDs": ["2", "5"], "Capabilities": [["gpu"]]},
        {"Driver": "cdi", "DeviceIDs": ["amd.com/gpu=1"]},
    ]
    assert host["Devices"][0]["PathOnHost"] == "/dev/davinci3"
    assert environment["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert (environment["ASCEND_RT_VISIBLE_DEVICES"], environment["ROCR_VISIBLE_DEVICES"]) == ("0", "0")


def test_simulated_devices_are_told_by_their_number_alone():
    host, environment = asked()
    assert not host.keys() & {"Devices", "DeviceRequests"}
    assert (environment["CUDA_VISIBLE_DEVICES"], environment["ROCR_VISIBLE_DEVICES"]) == ("2,5", "1")
