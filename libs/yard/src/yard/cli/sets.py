"""`yard set …`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from yard import forms
from yard.cli.options import Limit, Name, Out, Query, Ref, State, Yes, noun
from yard.cli.output import Column, Output, put_done, put_list, put_one
from yard.cli.session import connected, sure
from yard.progress import progress

app = noun("Formatted sets: a part of a dataset in the format that a framework reads.")

LIST = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("FORMAT", "format"),
    Column("STATE", "state"),
    Column("SHARE", "cut.share", forms.percent),
    Column("RECORDS", "records"),
    Column("SIZE", "bytes", forms.size),
    Column("OWNER", "owner"),
)
ONE = (
    *(Column(title, title) for title in ("id", "name", "owner", "format", "state", "reason")),
    Column("progress", "progress", forms.percent),
    Column("dataset", "origin.dataset_name"),
    Column("version", "origin.version"),
    Column("side", "cut.side"),
    Column("share", "cut.share", forms.percent),
    Column("seed", "cut.seed"),
    Column("complement", "complement.id"),
    Column("records", "records"),
    Column("classes", "classes", forms.pairs),
    Column("files", "files"),
    Column("size", "bytes", forms.size),
    Column("created", "created_at", forms.moment),
)

Format = Literal["raw", "recordio", "lmdb", "webdataset", "tfrecord", "parquet"]


@app.command()
def create(
    dataset: Annotated[str, typer.Argument(help="The dataset's name or id.", show_default=False)],
    format: Annotated[Format, typer.Option("--format", "-f", help="What it is to be written as.", show_default=False)],
    ratio: Annotated[
        float | None, typer.Option(help="The part for training, such as 0.8; all without.", show_default=False)
    ] = None,
    held_out: Annotated[bool, typer.Option("--held-out", help="The rest instead of the part for training.")] = False,
    complement: Annotated[bool, typer.Option("--complement", help="Make the rest as a set of its own too.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed cuts the same way, as in jobs.")] = 0,
    version: Annotated[int | None, typer.Option(help="The current one without.", show_default=False)] = None,
    part: Annotated[Literal["train", "test"], typer.Option(help="test: the independent test set.")] = "train",
    name: Name = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is built.")] = True,
    output: Out = Output.TABLE,
) -> None:
    """Order a part of a dataset in a format."""
    with connected() as yard, progress("Building") as advance:
        made = yard.sets.create(
            yard.datasets.id_of(dataset),
            format,
            version=version,
            part=part,
            ratio=ratio,
            side="held_out" if held_out else None,
            seed=seed,
            name=name,
            complement=complement,
        )
        if wait:
            made = yard.sets.wait(made["id"], progress=lambda seen: advance(seen.get("progress", 0), 1, ""))
    put_one(made, ONE, output)


@app.command("list")
def list_(query: Query = None, state: State = None, limit: Limit = 50, output: Out = Output.TABLE) -> None:
    """Your formatted sets."""
    with connected() as yard:
        put_list(yard.sets.list(limit, q=query, state=state), LIST, output, noun="formatted set")


@app.command()
def show(set: Ref, output: Out = Output.TABLE) -> None:
    """Everything about one."""
    with connected() as yard:
        put_one(yard.sets.show(yard.sets.id_of(set)), ONE, output)


@app.command()
def complement(set: Ref, output: Out = Output.TABLE) -> None:
    """Make the rest of its dataset a set of the same format."""
    with connected() as yard:
        put_one(yard.sets.complement(yard.sets.id_of(set)), ONE, output)


@app.command()
def download(
    set: Ref,
    to: Annotated[Path | None, typer.Option(help="The folder to write to.", show_default=False)] = None,
    output: Out = Output.TABLE,
) -> None:
    """Download its files into a folder."""
    with connected() as yard, progress("Downloading", bytes=True) as advance:
        folder = to or Path(set)
        yard.sets.download(yard.sets.id_of(set), folder, progress=lambda done, total: advance(done, total, ""))
    put_done(f"Written to {folder}.", output, {"path": str(folder)})


@app.command()
def delete(set: Ref, yes: Yes = False, output: Out = Output.TABLE) -> None:
    """Delete it; what runs keeps the files it holds."""
    sure(f"Delete formatted set {set}?", yes)
    with connected() as yard:
        id = yard.sets.id_of(set)
        yard.sets.delete(id)
    put_done(f"Formatted set {set} is deleted.", output, {"id": id, "deleted": True})
