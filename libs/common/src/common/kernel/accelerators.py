"""Kinds of accelerators: a short name of ours, the vendor's resource name, and how devices are shown to code.

`gpu` is `nvidia.com/gpu`, `npu` is `huawei.com/Ascend910`; any other is configured. Both names may be used in requests;
within the platform it is always the short one. A device is called by its kind and what its vendor's libraries call it:
`gpu-0`, `npu-3`, `gpu-MIG-<uuid>`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from common.kernel.errors import Fault, Invalid

_KIND = re.compile(r"[a-z][a-z0-9]{0,19}\Z")
_RESOURCE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?\Z")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}\Z")
_EXAMPLE = '{"amd.com/gpu": {"kind": "rocm", "variables": ["ROCR_VISIBLE_DEVICES"]}}'


@dataclass(frozen=True)
class Accelerator:
    """A kind of accelerator. `resource` is what its vendor calls it in clusters (an extended resource's name), and
    `variables` are the environment variables that tell code which devices it may see."""

    kind: str
    resource: str
    variables: tuple[str, ...] = ()


GPU = Accelerator("gpu", "nvidia.com/gpu", ("CUDA_VISIBLE_DEVICES",))
NPU = Accelerator("npu", "huawei.com/Ascend910", ("ASCEND_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES"))

BUILT_IN = (GPU, NPU)
"""The kinds that need no configuration."""

_KINDS = {one.resource: one.kind for one in BUILT_IN}


def accelerator_name(name: str) -> str:
    """A kind's short name, or a vendor's resource name as a request may have it; those of built-in kinds become short.

    Raises ValueError where it can be neither."""
    if name in _KINDS:
        return _KINDS[name]
    if _KIND.match(name) or _RESOURCE.match(name):
        return name
    raise ValueError("is the name of a kind of accelerator such as gpu or npu, or a vendor's such as nvidia.com/gpu")


def kind_of(device: str) -> str:
    """The kind of a device: `gpu` of `gpu-0`."""
    return device.partition("-")[0]


def device_variables(devices: Iterable[str], kinds: Iterable[Accelerator] = BUILT_IN) -> dict[str, str]:
    """The variables that show exactly these devices (`gpu-0`, `npu-1`), and no other of any kind."""
    given = tuple(devices)
    shown = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    for one in kinds:
        numbers = [device.removeprefix(f"{one.kind}-") for device in given if kind_of(device) == one.kind]
        shown |= dict.fromkeys(one.variables, ",".join(numbers))
    return shown


def counted_inside(devices: Iterable[str], real: Collection[str]) -> tuple[str, ...]:
    """The devices as they are called in a container that has no others: those of `real` kinds are counted from 0 there,
    whatever their number outside, while a UUID is the same everywhere."""
    numbers: Counter[str] = Counter()
    found = []
    for device in devices:
        kind = kind_of(device)
        if kind in real and device.removeprefix(f"{kind}-").isdecimal():
            device = f"{kind}-{numbers[kind]}"
            numbers[kind] += 1
        found.append(device)
    return tuple(found)


def parse_accelerators(text: str) -> tuple[Accelerator, ...]:
    """The built-in kinds and those that a configuration adds, as JSON by the vendor's name: a kind, or an object of
    `kind` and `variables`. A built-in kind can be given other variables, or another vendor's name.

    Raises Invalid (`bad_accelerators`, all faults at once)."""
    if not text.strip():
        return BUILT_IN
    try:
        told = json.loads(text)
    except json.JSONDecodeError as error:
        raise Invalid("bad_accelerators", f"It is no JSON ({error}); write for example {_EXAMPLE}.") from error
    entries = told if isinstance(told, dict) else {"": told}
    faults = [fault for resource, entry in entries.items() for fault in _faults(resource, entry)]
    added = [] if faults else [_read(resource, entry) for resource, entry in entries.items()]
    kinds = [one.kind for one in added]
    faults += [Fault(kind, "Two vendors' names can't share a kind.") for kind in set(kinds) if kinds.count(kind) > 1]
    if faults:
        said = " ".join(f"{fault.where}: {fault.reason}" for fault in faults)
        raise Invalid("bad_accelerators", f"{said} Write for example {_EXAMPLE}.", faults=faults)
    return (*(one for one in BUILT_IN if one.kind not in kinds and one.resource not in entries), *added)


def _faults(resource: str, entry: Any) -> Iterator[Fault]:
    if not _RESOURCE.match(resource):
        yield Fault(resource, "It is no vendor's resource name such as amd.com/gpu.")
    given = entry if isinstance(entry, dict) else {"kind": entry}
    if unknown := sorted(given.keys() - {"kind", "variables"}):
        yield Fault(resource, f"There is no {', '.join(unknown)}; there are kind and variables.")
    kind, variables = given.get("kind"), given.get("variables", [])
    if not (isinstance(kind, str) and _KIND.match(kind)) or kind in ("cpu", "memory"):
        yield Fault(f"{resource}.kind", "At most 20 lower-case letters and digits, a letter first; not cpu or memory.")
    if not (isinstance(variables, list) and all(isinstance(one, str) and _VARIABLE.match(one) for one in variables)):
        yield Fault(f"{resource}.variables", "A list of names of environment variables in upper case.")


def _read(resource: str, entry: Any) -> Accelerator:
    given = entry if isinstance(entry, dict) else {"kind": entry}
    kind = str(given["kind"])
    usual = next((one.variables for one in BUILT_IN if one.kind == kind), ())
    return Accelerator(kind, resource, tuple(given.get("variables", usual)))
