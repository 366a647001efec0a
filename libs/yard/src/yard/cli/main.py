"""The tree of commands, and the one place where failures become messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from yard.cli import (
    algorithms,
    cluster,
    datasets,
    events,
    jobs,
    models,
    nodes,
    outcomes,
    people,
    queues,
    samples,
    services,
    sets,
    sources,
    versions,
)
from yard.errors import YardError

app = typer.Typer(
    name="yard",
    help="Modelyard from the command line: datasets, algorithms, jobs, models, services.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for name, group in {
    "dataset": datasets.app,
    "set": sets.app,
    "source": sources.app,
    "algorithm": algorithms.app,
    "engine": algorithms.engines,
    "job": jobs.app,
    "model": models.app,
    "service": services.app,
    "user": people.users,
    "api-key": people.keys,
    "node": nodes.nodes,
    "spec": nodes.specs,
    "allocation": cluster.allocations,
    "queue": queues.queues,
    "events": events.app,
}.items():
    app.add_typer(group, name=name)
for outcome in (outcomes.log, outcomes.metrics, outcomes.attempts, outcomes.results, outcomes.download):
    jobs.app.command()(outcome)
jobs.app.command()(queues.why)
for telling in (versions.versions, versions.diff, versions.history, versions.uses):
    datasets.app.command()(telling)
for command in (samples.samples, samples.details, samples.thumbnail):
    datasets.app.command()(command)
app.command()(people.login)
app.command()(people.logout)
app.command()(people.whoami)


def _version(asked: bool) -> None:
    if asked:
        try:
            print(version("modelyard-yard"))
        except PackageNotFoundError:
            print("unpacked, without a version")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives the exit code."""
    try:
        app(args=list(sys.argv[1:] if arguments is None else arguments), prog_name="yard")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except YardError as error:
        return _failed(error_text(error))
    except OSError as error:
        return _failed(f"Error: {error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except Exception as error:  # whatever it is, a person gets one sentence
        if os.environ.get("YARD_DEBUG"):
            raise
        return _failed(f"Error: {type(error).__name__}: {error} (a fault of this command; YARD_DEBUG=1 shows where)")
    return 0


def error_text(error: YardError) -> str:
    """A failure for people: what, the stable code, and every fault on a line of its own."""
    faults = [f"  {fault.where}: {fault.reason}" if fault.where else f"  {fault.reason}" for fault in error.faults]
    return "\n".join([f"Error: {error.detail} [{error.code}]", *faults])


def _failed(message: str) -> int:
    print(message, file=sys.stderr)
    return 1
