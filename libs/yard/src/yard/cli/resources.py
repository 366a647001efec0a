"""Options for what work gets, where it runs and how urgent it is; `yard.cli.parameters` reads what they hold."""

from __future__ import annotations

from typing import Annotated

import typer

Spec = Annotated[str | None, typer.Option("--spec", help="Named resources, like small.", show_default=False)]
Cpu = Annotated[float | None, typer.Option("--cpu", help="CPU cores.", show_default=False)]
Memory = Annotated[str | None, typer.Option("--memory", help="Memory, like 2GiB.", show_default=False)]
Gpu = Annotated[int, typer.Option("--gpu", min=0, help="GPUs.")]
Npu = Annotated[int, typer.Option("--npu", min=0, help="NPUs.")]
Accelerator = Annotated[
    str | None,
    typer.Option("--accelerator", help="Any kind, like gpu:2, gpu:2:A100, amd.com/gpu:1.", show_default=False),
]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Nodes, each with all of that.")]

ReplicaCpu = Annotated[float | None, typer.Option("--cpu", help="CPU cores of each replica.", show_default=False)]
ReplicaMemory = Annotated[str | None, typer.Option("--memory", help="Memory of each, like 2GiB.", show_default=False)]
ReplicaAccelerator = Annotated[
    str | None,
    typer.Option("--accelerator", help="Accelerators of each, like gpu:1, npu:2:910B3.", show_default=False),
]

Cluster = Annotated[str | None, typer.Option("--cluster", help="On one cluster only.", show_default=False)]
Label = Annotated[
    list[str] | None,
    typer.Option("--label", help="KEY=VALUE that nodes must have; may be repeated.", show_default=False),
]

TimeLimit = Annotated[str | None, typer.Option("--time-limit", help="Like 90s, 30m, 12h.", show_default=False)]
Priority = Annotated[int | None, typer.Option("--priority", help="Higher goes first.", show_default=False)]
PriorityClass = Annotated[
    str | None, typer.Option("--priority-class", help="A priority that has a name, like high.", show_default=False)
]
Queue = Annotated[
    str | None, typer.Option("--queue", help="Where it waits; else your group's queue.", show_default=False)
]
Preemptible = Annotated[
    bool, typer.Option("--preemptible/--not-preemptible", help="May give way to more urgent work, and comes back.")
]
