"""`yard service …`"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from yard import forms
from yard.cli.algorithms import interface_line
from yard.cli.options import Description, Limit, Name, Out, Query, Ref, State, Yes, noun
from yard.cli.output import Column, Output, put_done, put_json, put_list, put_one
from yard.cli.parameters import replica_resources, split
from yard.cli.resources import Cluster, Label, Priority, PriorityClass, ReplicaAccelerator, ReplicaCpu, ReplicaMemory
from yard.cli.session import connected, sure
from yard.progress import progress

if TYPE_CHECKING:
    from yard.client import Client
    from yard.shapes import Service

app = noun("Inference services: start, scale, call.")

LIST = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("READY", "ready"),
    Column("REPLICAS", "replicas"),
    Column("ADDRESS", "address"),
    Column("OWNER", "owner"),
)
ONE = (
    *(Column(title, title) for title in ("id", "name", "description", "owner", "state", "detail", "visibility")),
    Column("replicas", "replicas"),
    Column("ready", "ready"),
    Column("address", "address"),
    Column("interface", "interface", interface_line),
    Column("model", "model_id"),
    Column("job", "job_id"),
    Column("created", "created_at", forms.moment),
)
REPLICAS = (
    Column("ID", "id"),
    Column("STATE", "state"),
    Column("READY", "ready"),
    Column("ADDRESS", "address"),
    Column("NOTE", "note"),
    Column("REASON", "reason"),
    Column("DETAIL", "detail"),
)

Replicas = Annotated[int, typer.Option("--replicas", "-r", min=1, help="How many copies run.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the replicas are ready.")]
Visibility = Annotated[
    Literal["private", "public", "preset"] | None,
    typer.Option("--visibility", help="Who may call it.", show_default=False),
]
Preemptible = Annotated[
    bool | None,
    typer.Option("--preemptible/--not-preemptible", help="Replicas may end for more urgent work.", show_default=False),
]
Spread = Annotated[
    bool | None, typer.Option("--spread/--no-spread", help="A node of its own for each replica.", show_default=False)
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", "-i", help="NAME=VALUE, or NAME=@FILE; may be repeated.", show_default=False),
]


@app.command("list")
def list_(query: Query = None, state: State = None, limit: Limit = 50, output: Out = Output.TABLE) -> None:
    """Your services, and others' that are shared."""
    with connected() as yard:
        put_list(yard.services.list(limit, q=query, state=state), LIST, output, noun="service")


@app.command()
def show(service: Ref, output: Out = Output.TABLE) -> None:
    """Everything about one."""
    with connected() as yard:
        put_one(yard.services.show(yard.services.id_of(service)), ONE, output)


@app.command()
def edit(
    service: Ref,
    name: Name = None,
    description: Description = None,
    visibility: Visibility = None,
    preemptible: Preemptible = None,
    spread: Spread = None,
    cpu: ReplicaCpu = None,
    memory: ReplicaMemory = None,
    accelerator: ReplicaAccelerator = None,
    cluster: Cluster = None,
    label: Label = None,
    priority: Priority = None,
    priority_class: PriorityClass = None,
    output: Out = Output.TABLE,
) -> None:
    """Change the name, the description, who may call it, or what its next replicas get and where."""
    resources = replica_resources(cpu, memory, accelerator, cluster, label)
    with connected() as yard:
        id = yard.services.id_of(service)
        changed = yard.services.edit(
            id,
            name=name,
            description=description,
            visibility=visibility,
            preemptible=preemptible,
            spread=spread,
            resources=resources,
            priority=priority,
            priority_class=priority_class,
        )
        put_one(changed, ONE, output)


@app.command()
def start(service: Ref, replicas: Replicas = 1, wait: Wait = True, output: Out = Output.TABLE) -> None:
    """Start some replicas."""
    with connected() as yard:
        changed = yard.services.start(yard.services.id_of(service), replicas)
        put_one(_ready(yard, changed["id"], replicas) if wait else changed, ONE, output)


@app.command()
def scale(
    service: Ref,
    replicas: Annotated[int, typer.Argument(min=1, help="How many copies run.", show_default=False)],
    wait: Wait = True,
    output: Out = Output.TABLE,
) -> None:
    """Change the number of replicas while it runs."""
    with connected() as yard:
        changed = yard.services.scale(yard.services.id_of(service), replicas)
        put_one(_ready(yard, changed["id"], replicas) if wait else changed, ONE, output)


def _ready(yard: Client, id: str, replicas: int) -> Service:
    with progress("Waiting for replicas") as advance:
        return yard.services.wait(
            id,
            ready=replicas,
            progress=lambda seen: advance(
                seen.get("ready", 0), replicas, f"{seen.get('ready', 0)} of {replicas} ready"
            ),
        )


@app.command()
def stop(service: Ref, output: Out = Output.TABLE) -> None:
    """No replica any more; the address stays."""
    with connected() as yard:
        changed = yard.services.stop(yard.services.id_of(service))
    put_done(f"Service {service} stops; its address {changed.get('address', '')} stays.", output, changed)


@app.command("test")
def online_test(service: Ref, inputs: Inputs = None, output: Out = Output.TABLE) -> None:
    """Call it once with its interface's test values, or with your own."""
    given = {
        name: value if isinstance(value, str) else base64.b64encode(value).decode() for name, value in _given(inputs)
    }
    with connected() as yard:
        answer = yard.services.test(yard.services.id_of(service), given or None)
    if output is Output.JSON:
        put_json(answer)
        return
    print(f"{answer.get('status')} after {answer.get('latency_ms', 0):.1f} ms")
    put_json(answer.get("response"))


@app.command()
def call(service: Ref, inputs: Inputs = None, output: Out = Output.TABLE) -> None:
    """Call it at its stable address, as programs do; prints what it answers."""
    with connected() as yard:
        about = yard.services.show(yard.services.id_of(service))
        answer = yard.services.call(about, dict(_given(inputs)))
    if output is Output.JSON:
        put_json({"status": answer.status_code, "body": _body(answer.text)})
    else:
        print(answer.text)


def _given(inputs: list[str] | None) -> list[tuple[str, str | bytes]]:
    return [(name, Path(value[1:]).read_bytes() if value.startswith("@") else value) for name, value in split(inputs)]


def _body(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@app.command()
def replicas(service: Ref, output: Out = Output.TABLE) -> None:
    """Its replicas."""
    with connected() as yard:
        put_list(yard.services.replicas(yard.services.id_of(service)), REPLICAS, output, noun="replica")


@app.command()
def log(
    service: Ref,
    replica: Annotated[str | None, typer.Option(help="Only this replica.", show_default=False)] = None,
    output: Out = Output.TABLE,
) -> None:
    """What its replicas wrote."""
    with connected() as yard:
        id = yard.services.id_of(service)
        wanted = [replica] if replica else [one["id"] for one in yard.services.replicas(id)]
        logs = [{"replica": one, **yard.services.replica_log(id, one)} for one in wanted]
    if output is Output.JSON:
        put_json(logs)
    for one in logs if output is Output.TABLE else ():
        print(f"== {one['replica']}\n{one['text']}".rstrip())


@app.command()
def delete(service: Ref, yes: Yes = False, output: Out = Output.TABLE) -> None:
    """Delete it, and its address with it."""
    sure(f"Delete service {service}?", yes)
    with connected() as yard:
        id = yard.services.id_of(service)
        yard.services.delete(id)
    put_done(f"Service {service} is deleted.", output, {"id": id, "deleted": True})
