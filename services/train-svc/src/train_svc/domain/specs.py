"""Named resource specs (row T9): what `small` means on this installation, said plainly where it means CPUs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from common.contracts.shared import Resources
from common.kernel.errors import Fault
from train_svc.domain.job import ResourceRequest

_KINDS = ("gpu", "npu")


@dataclass(frozen=True)
class Spec:
    """What a name stands for: so many accelerators with so many CPUs (cores) and memory (bytes) beside them.

    Where there are no such accelerators it stands for `count` CPUs.
    """

    count: int
    accelerator: str = "gpu"
    cpu: float = 1.0
    memory: int = 0


DEFAULT_SPECS: Mapping[str, Spec] = {"small": Spec(1), "medium": Spec(2), "large": Spec(4)}
"""Seed 001, 004: 1, 2 and 4 GPUs."""

DEFAULT_NAME = "small"


def request_faults(request: ResourceRequest, specs: Mapping[str, Spec], devices: Sequence[str]) -> Iterator[Fault]:
    """What is wrong with a request for an algorithm that runs on `devices` (cpu, gpu, npu)."""
    if request.spec is not None:
        if request.spec not in specs:
            yield Fault("resources.spec", f"There is no spec {request.spec!r}; there are {', '.join(specs)}.")
        if any(given is not None for given in (request.cpu, request.accelerator, request.count)) or request.memory:
            yield Fault("resources", "Name a spec, or say cpu, memory, accelerator and count: not both.")
        return
    if request.cpu is not None and not (math.isfinite(request.cpu) and request.cpu > 0):
        yield Fault("resources.cpu", "A number of cores above 0, such as 0.5 or 2.")
    if request.memory < 0:
        yield Fault("resources.memory", "It is not negative.")
    if request.nodes < 1:
        yield Fault("resources.nodes", "At least 1.")
    yield from _accelerator_faults(request, devices)


def _accelerator_faults(request: ResourceRequest, devices: Sequence[str]) -> Iterator[Fault]:
    if request.accelerator is None:
        if request.count:
            yield Fault("resources.accelerator", "Say which kind the count is of: gpu or npu.")
        elif request.cpu is not None and "cpu" not in devices:
            yield Fault("resources.accelerator", f"The algorithm needs one of: {', '.join(devices)}.")
        return
    if request.accelerator not in _KINDS:
        yield Fault("resources.accelerator", f"There is no kind {request.accelerator!r}; there are gpu and npu.")
    elif request.accelerator not in devices:
        yield Fault("resources.accelerator", f"The algorithm runs on {', '.join(devices)} only.")
    if request.count is not None and request.count < 1:
        yield Fault("resources.count", "At least 1.")


def settled(
    request: ResourceRequest, specs: Mapping[str, Spec], devices: Sequence[str], kinds: frozenset[str]
) -> tuple[Resources, tuple[str, ...]]:
    """The amounts that a request without faults stands for here, and notes; `kinds` are the accelerators there are."""
    named = request.spec is not None or (request.cpu is None and request.accelerator is None)
    if not named:
        count = (request.count or 1) if request.accelerator else 0
        resources = Resources.model_validate(
            {
                "cpu": 1.0 if request.cpu is None else request.cpu,
                "memory": request.memory,
                "accelerator": request.accelerator,
                "model": request.model,
                "count": count,
                "nodes": request.nodes,
            }
        )
        return resources, ()
    return _of_spec(request, specs, devices, kinds)


def _of_spec(
    request: ResourceRequest, specs: Mapping[str, Spec], devices: Sequence[str], kinds: frozenset[str]
) -> tuple[Resources, tuple[str, ...]]:
    name = request.spec or DEFAULT_NAME
    spec = specs[name]
    memory = request.memory or spec.memory
    usable = [kind for kind in (spec.accelerator, *_KINDS) if kind in kinds and kind in devices]
    if usable:
        found = {"cpu": spec.cpu, "memory": memory, "accelerator": usable[0], "count": spec.count}
        return Resources.model_validate({**found, "nodes": request.nodes}), ()
    cpus = Resources(cpu=float(spec.count), memory=memory, nodes=request.nodes)
    why = "has no accelerators" if not kinds else "has none that the algorithm can use"
    plural = "" if spec.count == 1 else "s"
    return cpus, (f"{name!r} means {spec.count} CPU{plural} here: this installation {why}.",)
