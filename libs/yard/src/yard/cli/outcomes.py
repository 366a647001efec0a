"""`yard job log`, `metrics`, `attempts`, `results` and `download`: what a job wrote, measured and made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from yard import forms
from yard.cli.curves import POINTS, plotted, summary
from yard.cli.options import Attempt, Out, Ref
from yard.cli.output import Column, Output, put_done, put_json, put_list
from yard.cli.session import connected
from yard.progress import progress

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


def attempts(job: Ref, output: Out = Output.TABLE) -> None:
    """Every try at it, and why each ended."""
    with connected() as yard:
        put_list(yard.jobs.attempts(yard.jobs.id_of(job)), ATTEMPTS, output, noun="attempt")


def results(job: Ref, attempt: Attempt = None, output: Out = Output.TABLE) -> None:
    """The files that it made."""
    with connected() as yard:
        put_list(yard.jobs.results(yard.jobs.id_of(job), attempt=attempt), FILES, output, noun="file")


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
