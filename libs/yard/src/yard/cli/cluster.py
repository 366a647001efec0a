"""`yard node …` and `yard allocation …`"""

from __future__ import annotations

from typing import Any

from yard import forms
from yard.cli.options import Limit, Out, Ref, State, noun
from yard.cli.output import Column, Output, put_list, put_one
from yard.cli.session import connected

nodes = noun("Nodes: the machines, their devices, and what is free.")
allocations = noun("Allocations: which workload was promised what.")


def _devices(devices: Any) -> str:
    """Free and all devices by kind, and whether they are simulated."""
    kinds = sorted({str(one.get("kind")) for one in devices or ()})
    told = []
    for kind in kinds:
        these = [one for one in devices if one.get("kind") == kind]
        free = sum(not one.get("busy") for one in these)
        simulated = " (simulated)" if any(one.get("simulated") for one in these) else ""
        told.append(f"{kind} {free} of {len(these)} free{simulated}")
    return ", ".join(told)


NODES = (
    Column("NAME", "name"),
    Column("CPU", "cpu"),
    Column("CPU FREE", "cpu_free"),
    Column("MEMORY", "memory", forms.size),
    Column("MEMORY FREE", "memory_free", forms.size),
    Column("DEVICES", "devices", _devices),
)
ALLOCATIONS = (
    Column("ID", "id"),
    Column("STATE", "state"),
    Column("PLACE", "position"),
    Column("KIND", "kind"),
    Column("WORKLOAD", "workload"),
    Column("RESOURCES", "resources", forms.resources),
    Column("PLACEMENTS", "placements", forms.pairs),
    Column("OWNER", "owner"),
)
ALLOCATION = (
    *(Column(column.title.lower(), column.field, column.form) for column in ALLOCATIONS),
    Column("detail", "detail"),
    Column("created", "created_at", forms.moment),
)


@nodes.command("list")
def list_nodes(output: Out = Output.TABLE) -> None:
    """Every node."""
    with connected() as yard:
        put_list(yard.nodes.list(), NODES, output, noun="node")


@allocations.command("list")
def list_allocations(state: State = None, limit: Limit = 50, output: Out = Output.TABLE) -> None:
    """Who holds what, and who waits."""
    with connected() as yard:
        put_list(yard.allocations.list(limit, state=state), ALLOCATIONS, output, noun="allocation")


@allocations.command("show")
def show_allocation(allocation: Ref, output: Out = Output.TABLE) -> None:
    """One allocation, and why it waits."""
    with connected() as yard:
        put_one(yard.allocations.show(yard.allocations.id_of(allocation)), ALLOCATION, output)
