"""`yard node …` and `yard spec …`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from yard import forms
from yard.cli.options import Out, State, noun
from yard.cli.output import Column, Output, console, put_done, put_list, put_one
from yard.cli.parameters import labels_of, seconds, size
from yard.cli.resources import Memory
from yard.cli.session import connected

nodes = noun("Nodes: the machines, their devices, and what is free.")
specs = noun("Resource specs: what names such as small mean.")

NodeName = Annotated[str, typer.Argument(help="The node's name.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", help="Why, for whoever looks.")]
Cluster = Annotated[str | None, typer.Option("--cluster", help="One cluster.", show_default=False)]
Label = Annotated[
    list[str] | None, typer.Option("--label", "-l", help="KEY=VALUE; may be repeated.", show_default=False)
]


def _devices(devices: Any) -> str:
    """Free and all devices by kind, what of them is lost, and whether they are simulated."""
    kinds = sorted({str(one.get("kind")) for one in devices or ()})
    told = []
    for kind in kinds:
        these = [one for one in devices if one.get("kind") == kind]
        free = sum(not one.get("busy") and not one.get("missing") for one in these)
        lost = sum(bool(one.get("lost")) for one in these)
        marks = [f"{lost} lost"] * bool(lost) + ["simulated"] * any(one.get("simulated") for one in these)
        told.append(f"{kind} {free} of {len(these)} free{f' ({chr(44).join(marks)})' if marks else ''}")
    return ", ".join(told)


def _each(devices: Any) -> str:
    """Every device on a line of its own."""
    return "\n".join(
        f"{one.get('id')}  {one.get('model')}  {forms.size(one.get('memory'))}  {_use(one)}" for one in devices or ()
    )


def _use(device: Any) -> str:
    words = ["lost" if device.get("lost") else "missing"] if device.get("missing") else []
    words += ["simulated"] * bool(device.get("simulated"))
    words += [str(device.get("allocation") or "busy") if device.get("busy") else "free"]
    return ", ".join(words)


NODES = (
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("CLUSTER", "cluster"),
    Column("CPU", "cpu"),
    Column("CPU FREE", "cpu_free"),
    Column("MEMORY", "memory", forms.size),
    Column("MEMORY FREE", "memory_free", forms.size),
    Column("DEVICES", "devices", _devices),
)
NODE = (
    *(Column(column.title.lower(), column.field, column.form) for column in NODES[:-1]),
    Column("simulated", "simulated"),
    Column("interconnect", "domain"),
    Column("labels", "labels", forms.pairs),
    Column("reason", "reason"),
    Column("since", "since", forms.moment),
    Column("by", "by"),
    Column("devices", "devices", _each),
)
SPECS = (
    Column("NAME", "name"),
    Column("CLUSTER", "cluster"),
    Column("MEANING", "meaning", forms.pairs),
    Column("SAID BY", "source"),
)


@nodes.command("list")
def list_nodes(cluster: Cluster = None, state: State = None, label: Label = None, output: Out = Output.TABLE) -> None:
    """Every node."""
    with connected() as yard:
        found, problems = yard.nodes.look(cluster=cluster, state=state, labels=labels_of(label))
        put_list(found, NODES, output, noun="node")
    for problem in problems:
        console(error=True).print(problem, highlight=False, markup=False)


@nodes.command("show")
def show_node(node: NodeName, output: Out = Output.TABLE) -> None:
    """One node with its devices, and why it takes nothing new."""
    with connected() as yard:
        put_one(yard.nodes.show(node), NODE, output)


@nodes.command("cordon")
def cordon(node: NodeName, reason: Reason = "", output: Out = Output.TABLE) -> None:
    """Let a node take nothing new; what runs there goes on."""
    with connected() as yard:
        put_done(f"{node} takes nothing new.", output, yard.nodes.cordon(node, reason))


@nodes.command("drain")
def drain(
    node: NodeName,
    reason: Reason = "",
    grace: Annotated[
        str | None, typer.Option("--grace", help="What runs there has so long, like 90s or 5m.", show_default=False)
    ] = None,
    output: Out = Output.TABLE,
) -> None:
    """Let a node take nothing new, and ask what runs there to end: it begins again elsewhere."""
    with connected() as yard:
        drained = yard.nodes.drain(node, reason, seconds(grace) if grace else None)
        put_done(f"{node} takes nothing new, and what runs there was asked to end.", output, drained)


@nodes.command("uncordon")
def uncordon(node: NodeName, output: Out = Output.TABLE) -> None:
    """Let a node take work again."""
    with connected() as yard:
        put_done(f"{node} takes work again.", output, yard.nodes.uncordon(node))


@nodes.command("fence")
def fence(node: NodeName, output: Out = Output.TABLE) -> None:
    """Confirm that a lost node is dead, so that what was revoked on it is free."""
    with connected() as yard:
        put_done(f"{node} counts as dead: what was revoked on it is free.", output, yard.nodes.fence(node))


@specs.command("list")
def list_specs(output: Out = Output.TABLE) -> None:
    """Every named spec, and what it means on each cluster."""
    with connected() as yard:
        put_list(yard.specs.list(), SPECS, output, noun="spec")


@specs.command("set")
def set_spec(
    name: Annotated[str, typer.Argument(help="The name, like small.", show_default=False)],
    count: Annotated[int, typer.Option(min=0, help="Accelerators a node; 0 for CPUs alone.")] = 0,
    accelerator: Annotated[str, typer.Option(help="Their kind: gpu, npu, nvidia.com/gpu …")] = "gpu",
    model: Annotated[str | None, typer.Option(help="Their model.", show_default=False)] = None,
    cpu: Annotated[float, typer.Option(help="CPU cores.")] = 1.0,
    memory: Memory = None,
    node_count: Annotated[int, typer.Option("--nodes", min=1, help="Nodes.")] = 1,
    label: Label = None,
    cluster: Cluster = None,
    output: Out = Output.TABLE,
) -> None:
    """Say what a name means: on one cluster, or wherever that has no meaning of its own."""
    asked = {"count": count, "accelerator": accelerator, "model": model, "cpu": cpu, "nodes": node_count}
    asked |= {"memory": size(memory) if memory else 0, "selectors": labels_of(label)}
    with connected() as yard:
        said = yard.specs.say(name, asked, cluster)
        put_done(f"{name} means from now on: {forms.pairs(said.get('meaning'))}", output, said)


@specs.command("unset")
def unset_spec(
    name: Annotated[str, typer.Argument(help="The name, like small.", show_default=False)],
    cluster: Cluster = None,
    output: Out = Output.TABLE,
) -> None:
    """Take back what was said: what is built in, or a setting, holds again."""
    with connected() as yard:
        yard.specs.unsay(name, cluster)
        put_done(f"{name} means again what it did.", output, {"name": name, "cluster": cluster})
