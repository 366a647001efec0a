"""What Docker is told: the container's configuration from what was settled, and nothing else decides.

No capability, no new privileges, a root file system that can't be written to, an init process, a user without
rights, and only folders of ours. Source: Docker Engine API v1.41, ContainerCreate; the restricted profile of the
Kubernetes pod security standards says the same in other words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.kernel.accelerators import GPU, NPU, Accelerator, kind_of
from common.runtime.docker.plan import HOME, Settled
from common.runtime.docker.records import IN, RUN
from common.runtime.docker.settings import DockerSettings

INSTANCE = "modelyard.instance"
WORKLOAD = "modelyard.workload"
OWNER = "modelyard.owner"
NOWHERE = "203.0.113.1"
"""A name server for those who may reach nothing: an address of nobody (RFC 5737), so that no name is looked up for
them outside their network."""
_OWN_PROCESSES = 2
"""Init and supervisor count among a container's processes, but aren't the workload's."""
_ASCEND = ("/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc")


def configuration(
    settled: Settled, folder: Path, instance: str, settings: DockerSettings, accelerators: tuple[str, ...]
) -> dict[str, Any]:
    """The body of ContainerCreate. `folder` is the workload's own; `accelerators` the kinds whose devices are real."""
    user = f"{settled['uid']}:{settled['uid']}"
    return {
        "Image": settled["image"],
        "Hostname": settled["workload"][:63].rstrip("-."),
        "User": user,
        "Entrypoint": ["/bin/sh", str(IN / "enter")],
        "Cmd": [],
        "WorkingDir": "/",
        "Labels": {INSTANCE: instance, WORKLOAD: settled["workload"], OWNER: settled["owner"]},
        "StopSignal": "SIGTERM",
        "HostConfig": _host(settled, folder, settings) | _devices(settled["devices"], accelerators, settings.kinds),
    }


def _host(settled: Settled, folder: Path, settings: DockerSettings) -> dict[str, Any]:
    memory = settled["memory"]
    temporary = min(settings.temporary_bytes, memory // 2) if memory else settings.temporary_bytes
    return {
        "Init": True,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "IpcMode": "private",
        "RestartPolicy": {"Name": "no"},
        "OomScoreAdj": 300,  # where the machine's memory runs out, workloads go before the platform
        "PidsLimit": (settled["pids"] or settings.most_pids) + _OWN_PROCESSES,
        "Memory": memory,
        "MemorySwap": memory,  # the sum of both, so no swap
        "NanoCpus": int(settled["cpu"] * 1e9),
        "ShmSize": max(64 << 20, temporary),
        "Tmpfs": {"/tmp": f"rw,exec,nosuid,nodev,size={temporary},mode=1777"},  # noqa: S108 - the container's own
        "Mounts": [_bind(*one, settings.host_paths) for one in _folders(settled, folder)],
        "NetworkMode": settled["network"],
        "Dns": [] if settings.internet else [NOWHERE],
        "DnsOptions": [] if settings.internet else ["timeout:1", "attempts:1"],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
    }


def _folders(settled: Settled, folder: Path) -> list[tuple[Path, str, bool]]:
    """Every folder: where it is, where it appears, and whether it can't be written to."""
    found = [(folder / "in", str(IN), True), (folder / "run", str(RUN), False), (folder / "home", HOME, False)]
    for mount in settled["mounts"].values():
        for at in filter(None, (mount["at"], mount["also"])):
            found.append((Path(mount["path"]), at, mount["kind"] == "staged"))
    return found


def _bind(path: Path, at: str, read_only: bool, host_paths: Mapping[Path, Path]) -> dict[str, Any]:
    for here, there in host_paths.items():
        if path.is_relative_to(here):
            path = there / path.relative_to(here)
            break
    return {
        "Type": "bind",
        "Source": str(path),
        "Target": at,
        "ReadOnly": read_only,
        "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
    }


def _devices(devices: list[str], accelerators: tuple[str, ...], kinds: Sequence[Accelerator]) -> dict[str, Any]:
    """Exactly these devices, by their number: NVIDIA's by request, Ascend's as device files with its managers, and
    those of any other vendor as its CDI devices."""
    told: dict[str, Any] = {}
    requests: list[dict[str, Any]] = []
    for kind in kinds:
        names = [one.removeprefix(f"{kind.kind}-") for one in devices if kind_of(one) == kind.kind]
        if not names or kind.kind not in accelerators:
            continue
        if kind.resource == GPU.resource:
            requests.append({"Driver": "nvidia", "DeviceIDs": names, "Capabilities": [["gpu"]]})
        elif kind.resource == NPU.resource:
            files = [*(f"/dev/davinci{number}" for number in names), *_ASCEND]
            told["Devices"] = [{"PathOnHost": one, "PathInContainer": one, "CgroupPermissions": "rw"} for one in files]
        else:
            requests.append({"Driver": "cdi", "DeviceIDs": [f"{kind.resource}={name}" for name in names]})
    return told | ({"DeviceRequests": requests} if requests else {})
