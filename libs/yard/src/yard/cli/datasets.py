"""`yard dataset …`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from yard import forms
from yard.cli.imports import ONE as ONE_IMPORT
from yard.cli.imports import awaited
from yard.cli.options import Description, Limit, Name, Out, Query, Ref, State, Yes, noun
from yard.cli.output import Column, Output, if_interrupted, put_done, put_list, put_note, put_one
from yard.cli.session import connected, sure
from yard.progress import progress

app = noun("Datasets: upload, put online, look inside.")

LIST = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("PURPOSE", "purpose"),
    Column("VISIBILITY", "visibility"),
    Column("FILES", "current_version.files"),
    Column("SIZE", "current_version.bytes", forms.size),
    Column("OWNER", "owner"),
)
ONE = (
    Column("id", "id"),
    Column("name", "name"),
    Column("description", "description"),
    Column("owner", "owner"),
    Column("state", "state"),
    Column("online", "online"),
    Column("visibility", "visibility"),
    Column("purpose", "purpose"),
    Column("annotation", "annotation"),
    Column("format", "format"),
    Column("test set", "test_mode"),
    Column("version", "current_version.number"),
    Column("digest", "current_version.digest"),
    Column("files", "current_version.files"),
    Column("size", "current_version.bytes", forms.size),
    Column("classes", "current_version.classes", forms.pairs),
    Column("created", "created_at", forms.moment),
    Column("changed", "updated_at", forms.moment),
)
ONE_VERSION = (
    Column("version", "number"),
    Column("name", "name"),
    Column("description", "description"),
    Column("digest", "digest"),
    Column("files", "files"),
)
IMPORTS = (
    Column("ID", "id"),
    Column("PART", "part"),
    Column("STATE", "state"),
    Column("PHASE", "phase"),
    Column("PROGRESS", "progress", forms.percent),
    Column("FILES", "files_done"),
    Column("VERSION", "version_number"),
    Column("CREATED", "created_at", forms.moment),
)

Archive = Annotated[
    Path,
    typer.Argument(help="Files laid out in its format; zip, rar, 7z, tar, tar.gz or tar.zst.", show_default=False),
]
PartOption = Annotated[Literal["train", "test"], typer.Option("--part", help="Which set the archive is.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="How to call it.", show_default=False)],
    purpose: Annotated[str, typer.Option(help="What it is for, like image/classification.", show_default=False)],
    description: Description = None,
    annotation: Annotated[str, typer.Option(help="class, box, polygon, entity or relation.")] = "class",
    format: Annotated[str, typer.Option(help="dir, json, single_text or brat_ann: how files are laid out.")] = "dir",
    test_mode: Annotated[
        Literal["ratio", "independent"], typer.Option(help="Split by ratio, or with a test set of its own.")
    ] = "ratio",
    output: Out = Output.TABLE,
) -> None:
    """Make an empty dataset."""
    with connected() as yard:
        made = yard.datasets.create(
            name,
            purpose=purpose,
            description=description or "",
            annotation=annotation,
            format=format,
            test_mode=test_mode,
        )
    put_one(made, ONE, output)


@app.command()
def upload(
    dataset: Ref,
    file: Archive,
    part: PartOption = "train",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is imported.")] = True,
    direct: Annotated[
        bool | None, typer.Option("--direct/--no-direct", help="Straight to the file store; large files, if left out.")
    ] = None,
    output: Out = Output.TABLE,
) -> None:
    """Upload an archive and import it; an upload that broke off goes on where it stopped."""
    with connected() as yard:
        id = yard.datasets.id_of(dataset)
        kept = "What has arrived is kept: the same command goes on there."
        with if_interrupted(kept), progress(f"Uploading {file.name}", bytes=True) as advance:
            begun = yard.datasets.upload(
                id, file, part=part, progress=lambda done, total: advance(done, total, ""), direct=direct, say=put_note
            )
        put_one(awaited(yard, id, begun) if wait else begun, ONE_IMPORT, output)


@app.command("list")
def list_(
    query: Query = None,
    state: State = None,
    purpose: Annotated[str | None, typer.Option(help="Only those for this.", show_default=False)] = None,
    visibility: Annotated[str | None, typer.Option(help="Only private, public or preset ones.")] = None,
    class_: Annotated[
        str | None, typer.Option("--class", help="Only those with this class.", show_default=False)
    ] = None,
    catalogue: Annotated[bool, typer.Option("--catalogue", help="Only what everybody may use, presets first.")] = False,
    limit: Limit = 50,
    output: Out = Output.TABLE,
) -> None:
    """Your datasets, and others' that are shared."""
    with connected() as yard:
        filters = {"q": query, "state": state, "purpose": purpose, "visibility": visibility, "class": class_}
        found = yard.datasets.list(limit, **filters, catalogue=catalogue or None)
    put_list(found, LIST, output, noun="dataset")


@app.command()
def show(dataset: Ref, output: Out = Output.TABLE) -> None:
    """Everything about one."""
    with connected() as yard:
        put_one(yard.datasets.show(yard.datasets.id_of(dataset)), ONE, output)


@app.command()
def edit(
    dataset: Ref,
    name: Name = None,
    description: Description = None,
    version: Annotated[int | None, typer.Option(help="Of this version instead.", show_default=False)] = None,
    output: Out = Output.TABLE,
) -> None:
    """Change the name or the description of a dataset, or of one of its versions."""
    with connected() as yard:
        id, changes = yard.datasets.id_of(dataset), {"name": name, "description": description}
        if version is None:
            put_one(yard.datasets.edit(id, **changes), ONE, output)
        else:
            put_one(yard.datasets.edit_version(id, version, **changes), ONE_VERSION, output)


@app.command()
def delete(dataset: Ref, yes: Yes = False, output: Out = Output.TABLE) -> None:
    """Delete an offline dataset; what was made from it keeps its lineage."""
    sure(f"Delete dataset {dataset}?", yes)
    with connected() as yard:
        id = yard.datasets.id_of(dataset)
        yard.datasets.delete(id)
    put_done(f"Dataset {dataset} is deleted.", output, {"id": id, "deleted": True})


@app.command()
def online(dataset: Ref, output: Out = Output.TABLE) -> None:
    """Let jobs use it."""
    with connected() as yard:
        changed = yard.datasets.online(yard.datasets.id_of(dataset))
    put_done(f"Dataset {dataset} is online.", output, changed)


@app.command()
def offline(dataset: Ref, output: Out = Output.TABLE) -> None:
    """No new use of it; running jobs keep what they hold."""
    with connected() as yard:
        changed = yard.datasets.offline(yard.datasets.id_of(dataset))
    put_done(f"Dataset {dataset} is offline.", output, changed)


@app.command()
def visibility(
    dataset: Ref,
    visibility: Annotated[Literal["private", "public", "preset"], typer.Argument(help="Who may see and use it.")],
    output: Out = Output.TABLE,
) -> None:
    """Share it, or stop sharing it. Only an administrator sets preset."""
    with connected() as yard:
        changed = yard.datasets.visibility(yard.datasets.id_of(dataset), visibility)
    put_done(f"Dataset {dataset} is {visibility}.", output, changed)


@app.command()
def imports(dataset: Ref, output: Out = Output.TABLE) -> None:
    """Every import with its progress, newest first."""
    with connected() as yard:
        put_list(yard.datasets.imports(yard.datasets.id_of(dataset)), IMPORTS, output, noun="import")


@app.command("cancel-import")
def cancel_import(
    dataset: Ref,
    import_: Annotated[str | None, typer.Argument(metavar="[IMPORT]", help="Its id; the one that goes on.")] = None,
    output: Out = Output.TABLE,
) -> None:
    """Give an import up, whatever it is at; the dataset stays as it was."""
    with connected() as yard:
        id = yard.datasets.id_of(dataset)
        going = [one["id"] for one in yard.datasets.imports(id) if one["state"] in ("queued", "running")]
        for one in [import_] if import_ else going:
            yard.datasets.cancel_import(id, one)
    put_done("The import is cancelled." if import_ or going else "Nothing was being imported.", output)
