"""`yard model …`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yard import forms
from yard.cli.options import Description, Limit, Name, Out, Query, Ref, Yes, noun
from yard.cli.output import Column, Output, put_done, put_list, put_one
from yard.cli.session import connected, sure
from yard.progress import progress

app = noun("Models: where they come from, download, publish as a service.")

LIST = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("PURPOSE", "purpose"),
    Column("FILES", "files"),
    Column("SIZE", "bytes", forms.size),
    Column("CREATED", "created_at", forms.moment),
    Column("METRICS", "metrics", forms.pairs),
    Column("OWNER", "owner"),
)
ONE = (
    *(Column(title, title) for title in ("id", "name", "description", "owner", "visibility", "purpose", "files")),
    Column("size", "bytes", forms.size),
    Column("digest", "digest"),
    Column("metrics", "metrics", forms.pairs),
    Column("job", "job_id"),
    Column("algorithm", "lineage.algorithm_name"),
    Column("dataset", "lineage.dataset_name"),
    Column("version", "lineage.dataset_version"),
    Column("parameters", "lineage.parameters", forms.pairs),
    Column("services", "services", forms.pairs),
    Column("created", "created_at", forms.moment),
)


@app.command("list")
def list_(query: Query = None, limit: Limit = 50, output: Out = Output.TABLE) -> None:
    """Your models, and others' that are shared."""
    with connected() as yard:
        put_list(yard.models.list(limit, q=query), LIST, output, noun="model")


@app.command()
def show(model: Ref, output: Out = Output.TABLE) -> None:
    """Everything about one, its lineage too."""
    with connected() as yard:
        put_one(yard.models.show(yard.models.id_of(model)), ONE, output)


@app.command()
def edit(model: Ref, name: Name = None, description: Description = None, output: Out = Output.TABLE) -> None:
    """Change the name or the description."""
    with connected() as yard:
        put_one(yard.models.edit(yard.models.id_of(model), name=name, description=description), ONE, output)


@app.command()
def publish(
    model: Ref,
    service_name: Annotated[str, typer.Argument(help="How to call the service.", show_default=False)],
    description: Description = None,
    output: Out = Output.TABLE,
) -> None:
    """Make an inference service of it."""
    with connected() as yard:
        told = yard.models.publish(yard.models.id_of(model), service_name, description=description or "")
        service = yard.services.wait_for(told["service_id"])
    put_done(
        f"Service {service_name} ({service['id']}) is made. Start it: yard service start {service['id']}",
        output,
        service,
    )


@app.command()
def download(
    model: Ref,
    to: Annotated[Path | None, typer.Option(help="Where to write it.", show_default=False)] = None,
    path: Annotated[str | None, typer.Option(help="One file of it; all as a zip without.", show_default=False)] = None,
    output: Out = Output.TABLE,
) -> None:
    """Download it as a zip, or one file of it."""
    with connected() as yard, progress("Downloading", bytes=True) as advance:
        target = to or Path(Path(path).name if path else f"{model}.zip")
        written = yard.models.download(
            yard.models.id_of(model), target, path=path, progress=lambda done, total: advance(done, total, "")
        )
    put_done(f"Written to {written}.", output, {"path": str(written), "bytes": written.stat().st_size})


@app.command()
def delete(model: Ref, yes: Yes = False, output: Out = Output.TABLE) -> None:
    """Delete it; services made of it keep running."""
    sure(f"Delete model {model}?", yes)
    with connected() as yard:
        id = yard.models.id_of(model)
        yard.models.delete(id)
    put_done(f"Model {model} is deleted.", output, {"id": id, "deleted": True})
