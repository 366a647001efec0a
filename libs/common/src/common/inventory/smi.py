"""Reading what the accelerators' own tools print. Pure: text in, devices out.

Numbers are those by which a process names its devices: `CUDA_VISIBLE_DEVICES` with CUDA_DEVICE_ORDER=PCI_BUS_ID
for `gpu-N`, `ASCEND_VISIBLE_DEVICES` for `npu-N`.
"""

from __future__ import annotations

import csv
import re

from common.ports.inventory import Device

MIB = 1 << 20
NVIDIA_COMMAND = ("nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits")
ASCEND_COMMAND = ("npu-smi", "info")

_USAGE = re.compile(r"(\d+)\s*/\s*(\d+)")
_HEALTHY = ("OK", "Warning")


def parse_nvidia(text: str) -> tuple[Device, ...]:
    """The GPUs in the answer to `NVIDIA_COMMAND`: index, name, memory in MiB. A card that has fallen off the bus
    answers with an error in its line, and is left out; memory that the driver doesn't tell is 0."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines())]
    return tuple(
        Device(id=f"gpu-{row[0]}", kind="gpu", model=row[1], memory=int(row[2]) * MIB if row[2].isdigit() else 0)
        for row in rows
        if len(row) == 3 and row[0].isdigit() and not row[1].startswith("[")
    )


def parse_ascend(text: str) -> tuple[Device, ...]:
    """The NPUs in the table of `ASCEND_COMMAND`: a line for each card, then one for each of its chips.

    Chips are numbered in the table's order. One whose card is neither OK nor in Warning keeps its number and is
    left out. Memory is the HBM, or where there is none the main memory of the chip.
    """
    found: list[Device] = []
    number, model, health = 0, "", ""
    for line in text.split("Process id")[0].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not re.match(r"\d", cells[0]):
            continue
        if ":" not in cells[1] and cells[1] != "NA":
            model, health = cells[0].split(maxsplit=1)[-1], cells[1]
            continue
        if health in _HEALTHY:
            found.append(Device(id=f"npu-{number}", kind="npu", model=_model(model), memory=_memory(cells[2])))
        number += 1
    return tuple(found)


def _model(name: str) -> str:
    return name if name.startswith("Ascend") else f"Ascend {name}"


def _memory(cell: str) -> int:
    totals = [int(total) for _, total in _USAGE.findall(cell)]
    return next((total for total in reversed(totals) if total), 0) * MIB
