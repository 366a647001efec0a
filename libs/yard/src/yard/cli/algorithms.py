"""`yard algorithm …` and `yard engine …`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from yard import forms
from yard.cli.options import Description, Limit, Name, Out, Query, Ref, State, Yes, noun
from yard.cli.output import Column, Output, put_done, put_list, put_one
from yard.cli.session import connected, sure
from yard.errors import YardError
from yard.progress import progress

app = noun("Algorithms: what trains, and what serves.")
engines = noun("Engines: the environments that run code without an image of its own.")

LIST = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("PURPOSE", "purpose"),
    Column("VISIBILITY", "visibility"),
    Column("FORMATS", "formats", forms.pairs),
    Column("OWNER", "owner"),
)
ONE = (
    *(
        Column(title, title)
        for title in ("id", "name", "description", "owner", "state", "online", "visibility", "purpose")
    ),
    Column("formats", "formats", forms.pairs),
    Column("trained by", "training.engine", forms.name_of),
    Column("image", "training.image"),
    Column("command", "training.command", lambda words: " ".join(words or ())),
    Column("devices", "training.devices", forms.pairs),
    Column("transfer", "training.transfer"),
    Column("parameters", "training.parameters", lambda all_: "\n".join(parameter_line(one) for one in all_ or ())),
    Column("interface", "inference.interface", lambda told: interface_line(told)),
    Column("training code", "training_code", forms.pairs),
    Column("inference code", "inference_code", forms.pairs),
    Column("created", "created_at", forms.moment),
    Column("changed", "updated_at", forms.moment),
)
ENGINES = (
    Column("NAME", "name"),
    Column("FRAMEWORK", "framework"),
    Column("VERSION", "version"),
    Column("STATE", "state"),
    Column("PROGRESS", "progress", forms.percent),
    Column("DETAIL", "detail"),
)
_ENGINE = tuple(Column(column.title.lower(), column.field, column.form) for column in ENGINES)


def parameter_line(parameter: dict[str, Any]) -> str:
    """A declared parameter on one line."""
    default = "required" if parameter.get("required") else f"default {forms.plain(parameter.get('default'))}"
    return f"{parameter['name']} ({parameter.get('type', 'string')}, {default}): {parameter.get('description', '')}"


def interface_line(interface: dict[str, Any] | None) -> str:
    """An inference interface on one line."""
    if not interface:
        return ""
    inputs = ", ".join(f"{one['name']}: {one.get('type', 'String')}" for one in interface.get("inputs", ()))
    return (
        f"{interface.get('method', 'POST')} {interface.get('path', '')} ({inputs}) as {interface.get('style', 'json')}"
    )


@app.command()
def create(
    definition: Annotated[Path, typer.Argument(help="A JSON file: name, purpose, formats, training, inference.")],
    training: Annotated[Path | None, typer.Option(help="Training code: a zip or a folder.", show_default=False)] = None,
    inference: Annotated[
        Path | None, typer.Option(help="Inference code: a zip or a folder.", show_default=False)
    ] = None,
    output: Out = Output.TABLE,
) -> None:
    """Make an algorithm from its definition, and give it its code."""
    body = _definition(definition)
    with connected() as yard:
        made = yard.algorithms.create(body)
        if training is not None:
            made = yard.algorithms.put_code(made["id"], "training", training)
        if inference is not None:
            made = yard.algorithms.put_code(made["id"], "inference", inference)
    put_one(made, ONE, output)


def _definition(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise YardError("bad_definition", f"{file} is no JSON: {error}.") from error
    if not isinstance(told, dict):
        raise YardError("bad_definition", f"{file} must hold one JSON object with name, purpose, formats and training.")
    return told


@app.command("list")
def list_(
    query: Query = None,
    state: State = None,
    purpose: Annotated[str | None, typer.Option(help="Only those for this.", show_default=False)] = None,
    limit: Limit = 50,
    output: Out = Output.TABLE,
) -> None:
    """Your algorithms, the presets, and others' that are shared."""
    with connected() as yard:
        found = yard.algorithms.list(limit, q=query, state=state, purpose=purpose)
    put_list(found, LIST, output, noun="algorithm")


@app.command()
def show(algorithm: Ref, output: Out = Output.TABLE) -> None:
    """Everything about one, its parameters too."""
    with connected() as yard:
        put_one(yard.algorithms.show(yard.algorithms.id_of(algorithm)), ONE, output)


@app.command()
def edit(
    algorithm: Ref,
    name: Name = None,
    description: Description = None,
    definition: Annotated[
        Path | None, typer.Option(help="A JSON file with the fields to change.", show_default=False)
    ] = None,
    output: Out = Output.TABLE,
) -> None:
    """Change its name, description, or other fields of its definition."""
    changes = {**(_definition(definition) if definition else {}), "name": name, "description": description}
    given = {field: value for field, value in changes.items() if value is not None}
    with connected() as yard:
        put_one(yard.algorithms.edit(yard.algorithms.id_of(algorithm), **given), ONE, output)


@app.command()
def delete(algorithm: Ref, yes: Yes = False, output: Out = Output.TABLE) -> None:
    """Delete an offline algorithm."""
    sure(f"Delete algorithm {algorithm}?", yes)
    with connected() as yard:
        id = yard.algorithms.id_of(algorithm)
        yard.algorithms.delete(id)
    put_done(f"Algorithm {algorithm} is deleted.", output, {"id": id, "deleted": True})


@app.command()
def online(algorithm: Ref, output: Out = Output.TABLE) -> None:
    """Let jobs use it."""
    with connected() as yard:
        changed = yard.algorithms.online(yard.algorithms.id_of(algorithm))
    put_done(f"Algorithm {algorithm} is online.", output, changed)


@app.command()
def offline(algorithm: Ref, output: Out = Output.TABLE) -> None:
    """No new use of it."""
    with connected() as yard:
        changed = yard.algorithms.offline(yard.algorithms.id_of(algorithm))
    put_done(f"Algorithm {algorithm} is offline.", output, changed)


@app.command()
def visibility(
    algorithm: Ref,
    visibility: Annotated[Literal["private", "public", "preset"], typer.Argument(help="Who may see and use it.")],
    output: Out = Output.TABLE,
) -> None:
    """Share it, or stop sharing it. Only an administrator sets preset."""
    with connected() as yard:
        changed = yard.algorithms.visibility(yard.algorithms.id_of(algorithm), visibility)
    put_done(f"Algorithm {algorithm} is {visibility}.", output, changed)


@app.command()
def code(
    algorithm: Ref,
    part: Annotated[Literal["training", "inference"], typer.Argument(help="Which part's code.")],
    put: Annotated[Path | None, typer.Option(help="New code: a zip or a folder.", show_default=False)] = None,
    to: Annotated[Path | None, typer.Option(help="Where to write the zip.", show_default=False)] = None,
    output: Out = Output.TABLE,
) -> None:
    """Download a part's code as a zip, or replace it with --put."""
    with connected() as yard:
        id = yard.algorithms.id_of(algorithm)
        if put is not None:
            put_one(yard.algorithms.put_code(id, part, put), ONE, output)
            return
        written = yard.algorithms.get_code(id, part, to or Path(f"{algorithm}-{part}.zip"))
    put_done(f"Written to {written}.", output, {"path": str(written), "bytes": written.stat().st_size})


@engines.command("list")
def list_engines(output: Out = Output.TABLE) -> None:
    """Every engine with its state."""
    with connected() as yard:
        put_list(yard.engines.list(), ENGINES, output, noun="engine")


@engines.command("show")
def show_engine(
    engine: Annotated[str, typer.Argument(help="Its name.", show_default=False)], output: Out = Output.TABLE
) -> None:
    """One engine."""
    with connected() as yard:
        put_one(yard.engines.show(engine), _ENGINE, output)


@engines.command("build")
def build_engine(
    engine: Annotated[str, typer.Argument(help="Its name.", show_default=False)], output: Out = Output.TABLE
) -> None:
    """Build it now, so that the first job need not wait."""
    with connected() as yard, progress(f"Building {engine}") as advance:
        built = yard.engines.build(
            engine, progress=lambda seen: advance(seen.get("progress") or 0.0, 1.0, seen.get("detail") or "")
        )
    put_one(built, _ENGINE, output)
