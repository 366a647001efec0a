"""Reading what the accelerators' own tools print. Pure: text in, devices out.

Devices are called what a process calls them: `CUDA_VISIBLE_DEVICES` with CUDA_DEVICE_ORDER=PCI_BUS_ID takes the N of
`gpu-N`, or for a part of a GPU (MIG) its UUID; `ASCEND_VISIBLE_DEVICES` takes the N of `npu-N`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

from common.ports.inventory import Device

MIB = 1 << 20
GIB = 1 << 30
NVIDIA_COMMAND = ("nvidia-smi", "--query-gpu=index,name,memory.total,mig.mode.current", "--format=csv,noheader,nounits")
NVIDIA_OLD_COMMAND = ("nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits")
"""For drivers older than MIG, which refuse the question for its mode."""
NVIDIA_PARTS_COMMAND = ("nvidia-smi", "-L")
ASCEND_COMMAND = ("npu-smi", "info")

_USAGE = re.compile(r"(\d+)\s*/\s*(\d+)")
_HEALTHY = ("OK", "Warning")
_NO_SUCH_QUESTION = "not a valid field"
_NONE_FOUND = "No devices were found"
_PARTED = "Enabled"
_CARD = re.compile(r"GPU (\d+): (.+?) \(UUID: ")
_PART = re.compile(r"\s+MIG (\S+?)\s+Device\s+\d+:\s+\(UUID: (MIG-[0-9A-Za-z/-]+)\)")
_PART_MEMORY = re.compile(r"\.(\d+)gb")


def refuses_question(text: str) -> bool:
    """Whether the driver is too old to know what was asked."""
    return _NO_SUCH_QUESTION in text


def has_none(text: str) -> bool:
    """Whether the driver is well and has no GPUs: that is an answer, also where the tool calls it a failure."""
    return _NONE_FOUND in text


def has_parts(text: str) -> bool:
    """Whether a GPU in the answer to `NVIDIA_COMMAND` is divided into parts (MIG)."""
    return any(row[3] == _PARTED for row in _rows(text) if len(row) > 3)


def parse_nvidia(text: str, parts: str = "") -> tuple[Device, ...]:
    """The GPUs in the answer to `NVIDIA_COMMAND`: index, name, memory in MiB and whether it is divided. A card that has
    fallen off the bus answers with an error in its line, and is left out; memory that the driver doesn't tell is 0.

    A divided GPU can't be used whole: in its place stand its parts, from the answer to `NVIDIA_PARTS_COMMAND`."""
    divided = _parts(parts)
    found: list[Device] = []
    for row in _rows(text):
        if row[3:4] == [_PARTED]:
            found += divided.get(row[0], ())
        else:
            memory = int(row[2]) * MIB if row[2].isdecimal() else 0
            found.append(Device(id=f"gpu-{row[0]}", kind="gpu", model=row[1], memory=memory))
    return _each_once(found)


def _rows(text: str) -> Iterator[list[str]]:
    for row in csv.reader(text.replace("\0", "").splitlines()):
        cells = [cell.strip() for cell in row]
        if len(cells) in (3, 4) and re.fullmatch(r"[0-9]{1,4}", cells[0]) and not cells[1].startswith("["):
            yield cells


def _parts(text: str) -> dict[str, list[Device]]:
    """The parts of each GPU by its number. A profile such as `3g.20gb` tells the memory of a part."""
    found: dict[str, list[Device]] = {}
    card, model = "", ""
    for line in text.splitlines():
        if whole := _CARD.match(line):
            card, model = whole[1], whole[2]
        elif (part := _PART.match(line)) and card:
            size = _PART_MEMORY.search(part[1])
            memory = int(size[1]) * GIB if size else 0
            found.setdefault(card, []).append(Device(f"gpu-{part[2]}", "gpu", f"{model} MIG {part[1]}", memory))
    return found


def parse_ascend(text: str) -> tuple[Device, ...]:
    """The NPUs in the table of `ASCEND_COMMAND`: a line for each card, then one for each of its chips.

    A chip has the number that the table gives it (`Phy-ID`, `Device`); where there is no such column (910A, 910B: a
    chip a card) that of its card. One whose card is neither OK nor in Warning is left out. Memory is the HBM, or where
    there is none the main memory of the chip.
    """
    found: list[Device] = []
    card, model, health = "", "", ""
    for line in text.split("Process id")[0].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not re.match(r"[0-9]", cells[0]):
            continue
        words = cells[0].split()
        if ":" not in cells[1] and cells[1] != "NA":
            card, model, health = words[0], cells[0].split(maxsplit=1)[-1], cells[1]
            continue
        number = words[1] if len(words) > 1 else card
        if health in _HEALTHY and re.fullmatch(r"[0-9]{1,4}", number):
            found.append(Device(id=f"npu-{number}", kind="npu", model=_model(model), memory=_memory(cells[2])))
    return _each_once(found)


def _each_once(devices: list[Device]) -> tuple[Device, ...]:
    return tuple({device.id: device for device in reversed(devices)}.values())[::-1]


def _model(name: str) -> str:
    return name if name.startswith("Ascend") else f"Ascend {name}"


def _memory(cell: str) -> int:
    totals = [int(total) for _, total in _USAGE.findall(cell)]
    return next((total for total in reversed(totals) if total), 0) * MIB
