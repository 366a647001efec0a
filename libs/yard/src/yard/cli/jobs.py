"""`yard job …`"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from yard import forms
from yard.cli.curves import POINTS, plotted, summary
from yard.cli.follow import follow_job
from yard.cli.materials import (
    RATIO,
    Dataset,
    Materials,
    Set,
    Validation,
    ValidationPart,
    ValidationSet,
    ValidationVersion,
    materials_of,
)
from yard.cli.mounts import FORM, mounts_of
from yard.cli.options import Attempt, Description, Limit, Name, Out, Query, Ref, State, Yes, noun
from yard.cli.output import Column, Output, put_done, put_json, put_list, put_one
from yard.cli.parameters import resources_of, seconds, typed
from yard.cli.session import connected, sure
from yard.evaluations import evaluation_text, headline
from yard.progress import progress

if TYPE_CHECKING:
    from yard.shapes import Algorithm

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
ATTEMPTS = (
    Column("ATTEMPT", "number"),
    Column("PHASE", "phase"),
    Column("REASON", "reason"),
    Column("EXIT", "exit_code"),
    Column("ON", "placements", forms.placements),
    Column("CPU SECONDS", "cpu_seconds"),
    Column("MEMORY", "peak_memory", forms.size),
    Column("STARTED", "started_at", forms.moment),
    Column("ENDED", "ended_at", forms.moment),
    Column("DETAIL", "detail"),
)
FILES = (Column("PATH", "path"), Column("SIZE", "size", forms.size), Column("SHA-256", "sha256"))


@app.command()
def run(
    algorithm: Annotated[str, typer.Argument(help="The algorithm's name or id.", show_default=False)],
    dataset: Dataset = None,
    set: Set = None,
    validation: Validation = None,
    validation_version: ValidationVersion = None,
    validation_part: ValidationPart = "train",
    validation_set: ValidationSet = None,
    name: Annotated[str | None, typer.Option("--name", help="How to call the job.", show_default=False)] = None,
    description: Description = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE; may be repeated.", show_default=False)
    ] = None,
    ratio: Annotated[
        float | None, typer.Option(help="Share to train on; 1.0 - ratio is held out.", show_default=str(RATIO))
    ] = None,
    no_split: Annotated[bool, typer.Option("--no-split", help="Use the dataset's own test set.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    spec: Annotated[str | None, typer.Option(help="Named resources, like small.", show_default=False)] = None,
    cpu: Annotated[float | None, typer.Option(help="CPU cores.", show_default=False)] = None,
    memory: Annotated[str | None, typer.Option(help="Memory, like 2GiB.", show_default=False)] = None,
    gpu: Annotated[int, typer.Option(min=0, help="GPUs.")] = 0,
    npu: Annotated[int, typer.Option(min=0, help="NPUs.")] = 0,
    accelerator: Annotated[
        str | None, typer.Option(help="Any kind, like gpu:2, gpu:2:A100, amd.com/gpu:1.", show_default=False)
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes, each with all of that.")] = 1,
    cluster: Annotated[str | None, typer.Option(help="On one cluster only.", show_default=False)] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", help="KEY=VALUE that nodes must have; may be repeated.", show_default=False),
    ] = None,
    time_limit: Annotated[str | None, typer.Option(help="Like 90s, 30m, 12h.", show_default=False)] = None,
    priority: Annotated[int | None, typer.Option(help="Higher goes first.", show_default=False)] = None,
    priority_class: Annotated[
        str | None, typer.Option(help="A priority that has a name, like high.", show_default=False)
    ] = None,
    queue: Annotated[
        str | None, typer.Option(help="Where it waits; else your group's queue.", show_default=False)
    ] = None,
    preemptible: Annotated[
        bool, typer.Option("--preemptible/--not-preemptible", help="May give way to more urgent work, and comes back.")
    ] = True,
    mount: Annotated[
        list[str] | None,
        typer.Option("--mount", help=f"A source as it is: {FORM}; may be repeated.", show_default=False),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Begin while the shards of a WebDataset set still arrive.")
    ] = False,
    draft: Annotated[bool, typer.Option("--draft", help="Only make it; start it later.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its log until it ends.")] = False,
    output: Out = Output.TABLE,
) -> None:
    """Train an algorithm on a dataset, or on a formatted set of one."""
    resources = resources_of(
        spec, cpu, memory, gpu, npu, accelerator=accelerator, nodes=nodes, cluster=cluster, label=label
    )
    limit = seconds(time_limit) if time_limit else None
    typed_materials = Materials(dataset, set, validation, validation_version, validation_part, validation_set)
    with connected() as yard:
        trained = yard.algorithms.show(yard.algorithms.id_of(algorithm))
        data, materials = materials_of(yard, typed_materials, ratio, no_split)
        job = yard.jobs.create(
            name or f"{trained['name']} on {data}"[:100],
            algorithm_id=trained["id"],
            **materials,
            description=description or "",
            seed=seed,
            parameters=typed(parameter, declared(trained)),
            resources=resources,
            time_limit_seconds=limit,
            priority=priority,
            priority_class=priority_class,
            queue=queue,
            preemptible=preemptible,
            mounts=mounts_of(mount, yard.sources.id_of),
            stream=stream,
            start=not draft,
            algorithm_after=trained.get("version"),
        )
        if follow and not draft:
            raise typer.Exit(follow_job(yard, job, output))
    put_one(job, ONE, output)


def declared(algorithm: Algorithm) -> list[Mapping[str, Any]]:
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
def start(
    job: Ref,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show its log until it ends.")] = False,
    output: Out = Output.TABLE,
) -> None:
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


@app.command()
def log(
    job: Ref,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
    attempt: Attempt = None,
    member: Annotated[
        int | None, typer.Option(min=0, help="Of a job on several nodes: which of them, from 0.", show_default=False)
    ] = None,
    output: Out = Output.TABLE,
) -> None:
    """What it wrote."""
    with connected() as yard:
        id = yard.jobs.id_of(job)
        if not follow:
            part = yard.jobs.log(id, attempt=attempt, member=member)
            put_json(part) if output is Output.JSON else sys.stdout.write(part["text"])
            return
        for text in yard.jobs.follow_log(id, attempt=attempt, member=member):
            put_json({"text": text}, line=True) if output is Output.JSON else print(text, end="", flush=True)


@app.command()
def metrics(
    job: Ref,
    plot: Annotated[bool, typer.Option("--plot", help="Draw the curves.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print points until it ends.")] = False,
    metric: Annotated[str | None, typer.Option("--metric", "-m", help="Only this one.", show_default=False)] = None,
    points: Annotated[int | None, typer.Option(min=2, help="Thin a curve to so many points.")] = None,
    attempt: Attempt = None,
    output: Out = Output.TABLE,
) -> None:
    """Its curves: accuracy, loss and whatever else it measured."""
    with connected() as yard:
        id = yard.jobs.id_of(job)
        if follow:
            for point in yard.jobs.follow_metrics(id, attempt=attempt):
                put_json(point, line=True) if output is Output.JSON else print(forms.pairs(point), flush=True)
            return
        seen = yard.jobs.metrics(id, attempt=attempt, name=metric, points=points)
    curves = {name: [(step, value) for step, value in series] for name, series in seen["series"].items()}
    if output is Output.JSON:
        put_json(seen)
    elif plot:
        print(plotted(curves))
    else:
        put_list([summary(name, curve) for name, curve in curves.items() if curve], POINTS, output, noun="metric")


@app.command()
def attempts(job: Ref, output: Out = Output.TABLE) -> None:
    """Every try at it, and why each ended."""
    with connected() as yard:
        put_list(yard.jobs.attempts(yard.jobs.id_of(job)), ATTEMPTS, output, noun="attempt")


@app.command()
def results(job: Ref, attempt: Attempt = None, output: Out = Output.TABLE) -> None:
    """The files that it made."""
    with connected() as yard:
        put_list(yard.jobs.results(yard.jobs.id_of(job), attempt=attempt), FILES, output, noun="file")


@app.command()
def download(
    job: Ref,
    path: Annotated[str | None, typer.Argument(help="One file; all as a zip without.", show_default=False)] = None,
    to: Annotated[Path | None, typer.Option(help="Where to write it.", show_default=False)] = None,
    attempt: Attempt = None,
    output: Out = Output.TABLE,
) -> None:
    """Download its results as a zip, or one file of them."""
    with connected() as yard, progress("Downloading", bytes=True) as advance:
        target = to or Path(Path(path).name if path else f"{job}.zip")
        written = yard.jobs.download(
            yard.jobs.id_of(job),
            target,
            path=path,
            attempt=attempt,
            progress=lambda done, total: advance(done, total, ""),
        )
    put_done(f"Written to {written}.", output, {"path": str(written), "bytes": written.stat().st_size})
