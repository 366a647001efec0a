"""`yard job …`"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yard import forms
from yard.cli.follow import follow_job
from yard.cli.materials import (
    Dataset,
    Materials,
    NoSplit,
    Ratio,
    Seed,
    Set,
    Validation,
    ValidationPart,
    ValidationSet,
    ValidationVersion,
    materials_of,
)
from yard.cli.mounts import Mount, mounts_of
from yard.cli.options import Description, Limit, Name, Out, Query, Ref, State, Yes, noun
from yard.cli.output import Column, Output, put_done, put_list, put_one
from yard.cli.parameters import resources_of, seconds, typed
from yard.cli.resources import (
    Accelerator,
    Cluster,
    Cpu,
    Gpu,
    Label,
    Memory,
    Nodes,
    Npu,
    Preemptible,
    Priority,
    PriorityClass,
    Queue,
    Spec,
    TimeLimit,
)
from yard.cli.session import connected, sure
from yard.evaluations import evaluation_text, headline

if TYPE_CHECKING:
    from yard.client import Client
    from yard.shapes import Algorithm, Job

app = noun("Jobs: train, watch, fetch the results.")

LIST = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("CREATED", "created_at", forms.moment),
    Column("REASON", "reason"),
    Column("ALGORITHM", "algorithm", forms.name_of),
    Column("DATASET", "dataset", forms.name_of),
    Column("METRICS", "metrics", forms.pairs),
    Column("OWNER", "owner"),
)
ONE = (
    *(Column(title, title) for title in ("id", "name", "description", "owner", "state", "reason", "detail", "note")),
    Column("attempt", "attempt"),
    Column("algorithm", "algorithm", forms.name_of),
    Column("dataset", "dataset", forms.name_of),
    Column("version", "dataset.version"),
    Column("formatted set", "formatted_set", forms.name_of),
    Column("split", "split", forms.pairs),
    Column("validation", "validation.dataset", forms.name_of),
    Column("validation set", "validation.formatted_set", forms.name_of),
    Column("parameters", "parameters", forms.pairs),
    Column("resources", "resources", forms.resources),
    Column("mounts", "mounts", forms.mounts),
    Column("time limit", "time_limit_seconds", lambda value: forms.duration(value)),
    Column("prepared", "progress", forms.percent),
    Column("gives way", "giving_way", forms.said),
    Column("metrics", "metrics", forms.pairs),
    Column("evaluation", "evaluation", headline),
    Column("model", "model_id"),
    Column("created", "created_at", forms.moment),
    Column("started", "started_at", forms.moment),
    Column("ended", "ended_at", forms.moment),
)

AlgorithmName = Annotated[str, typer.Argument(help="The algorithm's name or id.", show_default=False)]
JobName = Annotated[str | None, typer.Option("--name", help="How to call the job.", show_default=False)]
Parameter = Annotated[
    list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE; may be repeated.", show_default=False)
]
Stream = Annotated[bool, typer.Option("--stream", help="Begin while the shards of a WebDataset set still arrive.")]
Draft = Annotated[bool, typer.Option("--draft", help="Only make it; start it later.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Show its log until it ends.")]


@app.command()
def run(
    algorithm: AlgorithmName,
    dataset: Dataset = None,
    set: Set = None,
    validation: Validation = None,
    validation_version: ValidationVersion = None,
    validation_part: ValidationPart = "train",
    validation_set: ValidationSet = None,
    name: JobName = None,
    description: Description = None,
    parameter: Parameter = None,
    ratio: Ratio = None,
    no_split: NoSplit = False,
    seed: Seed = 0,
    spec: Spec = None,
    cpu: Cpu = None,
    memory: Memory = None,
    gpu: Gpu = 0,
    npu: Npu = 0,
    accelerator: Accelerator = None,
    nodes: Nodes = 1,
    cluster: Cluster = None,
    label: Label = None,
    time_limit: TimeLimit = None,
    priority: Priority = None,
    priority_class: PriorityClass = None,
    queue: Queue = None,
    preemptible: Preemptible = True,
    mount: Mount = None,
    stream: Stream = False,
    draft: Draft = False,
    follow: Follow = False,
    output: Out = Output.TABLE,
) -> None:
    """Train an algorithm on a dataset, or on a formatted set of one."""
    resources = resources_of(
        spec, cpu, memory, gpu, npu, accelerator=accelerator, nodes=nodes, cluster=cluster, label=label
    )
    asked = {"description": description or "", "seed": seed, "stream": stream, "start": not draft}
    asked |= {"resources": resources, "time_limit_seconds": seconds(time_limit) if time_limit else None}
    asked |= {"priority": priority, "priority_class": priority_class, "queue": queue, "preemptible": preemptible}
    materials = Materials(
        dataset, set, validation, validation_version, validation_part, validation_set, ratio, no_split
    )
    with connected() as yard:
        job = _made(yard, algorithm, name, materials, parameter, mount, asked)
        if follow and not draft:
            raise typer.Exit(follow_job(yard, job, output))
    put_one(job, ONE, output)


def _made(
    yard: Client,
    algorithm: str,
    name: str | None,
    materials: Materials,
    parameters: list[str] | None,
    mounts: Sequence[str] | None,
    asked: Mapping[str, Any],
) -> Job:
    """The job, made as somebody typed it; `asked` goes to `Jobs.create` as it is. Raises YardError."""
    trained = yard.algorithms.show(yard.algorithms.id_of(algorithm))
    data, given = materials_of(yard, materials)
    return yard.jobs.create(
        name or f"{trained['name']} on {data}"[:100],
        algorithm_id=trained["id"],
        algorithm_after=trained.get("version"),
        parameters=typed(parameters, _declared(trained)),
        mounts=mounts_of(mounts, yard.sources.id_of),
        **given,
        **asked,
    )


def _declared(algorithm: Algorithm) -> list[Mapping[str, Any]]:
    """The parameters that an algorithm's training part takes."""
    return list((algorithm.get("training") or {}).get("parameters") or ())


@app.command("list")
def list_(query: Query = None, state: State = None, limit: Limit = 50, output: Out = Output.TABLE) -> None:
    """Your jobs, whatever their state."""
    with connected() as yard:
        put_list(yard.jobs.list(limit, q=query, state=state), LIST, output, noun="job")


@app.command()
def show(job: Ref, output: Out = Output.TABLE) -> None:
    """Everything about one, its evaluation too."""
    with connected() as yard:
        seen = yard.jobs.show(yard.jobs.id_of(job))
    put_one(seen, ONE, output)
    if output is Output.TABLE and (told := seen.get("evaluation")) and told.get("classes"):
        print("\n" + evaluation_text(told))


@app.command()
def edit(job: Ref, name: Name = None, description: Description = None, output: Out = Output.TABLE) -> None:
    """Change the name or the description."""
    with connected() as yard:
        put_one(yard.jobs.edit(yard.jobs.id_of(job), name=name, description=description), ONE, output)


@app.command()
def start(job: Ref, follow: Follow = False, output: Out = Output.TABLE) -> None:
    """Start a draft, or an ended job again as a new attempt."""
    with connected() as yard:
        started = yard.jobs.start(yard.jobs.id_of(job))
        if follow:
            raise typer.Exit(follow_job(yard, started, output))
    put_one(started, ONE, output)


@app.command()
def stop(job: Ref, output: Out = Output.TABLE) -> None:
    """End it; what it wrote is kept."""
    with connected() as yard:
        stopped = yard.jobs.stop(yard.jobs.id_of(job))
    put_done(f"Job {job} stops.", output, stopped)


@app.command()
def delete(job: Ref, yes: Yes = False, output: Out = Output.TABLE) -> None:
    """Delete it; its model stays."""
    sure(f"Delete job {job}?", yes)
    with connected() as yard:
        id = yard.jobs.id_of(job)
        yard.jobs.delete(id)
    put_done(f"Job {job} is deleted.", output, {"id": id, "deleted": True})
