"""`yard source …`"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from yard import forms
from yard.cli import imports
from yard.cli.options import Description, Limit, Out, Query, Ref, Yes, noun
from yard.cli.output import Column, Output, put_done, put_json, put_list, put_note, put_one
from yard.cli.session import connected, sure
from yard.errors import YardError

app = noun("External sources: S3 buckets, Swift containers, shared folders.")

LIST = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("TYPE", "connection.type"),
    Column("PREFIX", "connection.prefix"),
    Column("OWNER", "owner"),
    Column("CREATED", "created_at", forms.moment),
)
ONE = (
    Column("id", "id"),
    Column("name", "name"),
    Column("description", "description"),
    Column("owner", "owner"),
    Column("connection", "connection", forms.pairs),
    Column("credentials", "credentials", lambda names: ", ".join(names or ())),
    Column("created", "created_at", forms.moment),
)
FILES = (Column("PATH", "path"), Column("SIZE", "size", forms.size))

ENVIRONMENT = "YARD_SOURCE_"
"""With this before it, a secret's name in capitals is the variable that holds it."""

SecretsFile = Annotated[
    Path | None,
    typer.Option(help="JSON, or lines NAME=VALUE; - reads standard input.", show_default=False),
]
Secret = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE. Others on this machine can see it: better a file or the environment."),
]
Prefix = Annotated[str, typer.Option(help="What lies below it alone.", show_default=False)]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="How to call it.", show_default=False)],
    type: Annotated[Literal["s3", "swift", "path"], typer.Option(help="What kind of place it is.")],
    endpoint_url: Annotated[str | None, typer.Option(help="S3: the server.", show_default=False)] = None,
    bucket: Annotated[str | None, typer.Option(help="S3: the bucket.", show_default=False)] = None,
    auth_url: Annotated[str | None, typer.Option(help="Swift: where one logs in.", show_default=False)] = None,
    container: Annotated[str | None, typer.Option(help="Swift: the container.", show_default=False)] = None,
    project_id: Annotated[str | None, typer.Option(help="Swift by Keystone: the project.", show_default=False)] = None,
    domain_name: Annotated[str | None, typer.Option(help="Swift by Keystone: the domain.", show_default=False)] = None,
    root: Annotated[str | None, typer.Option(help="Path: the shared folder's name.", show_default=False)] = None,
    region: Annotated[str | None, typer.Option(help="S3, Swift: the region.", show_default=False)] = None,
    prefix: Prefix = "",
    description: Description = None,
    secrets_file: SecretsFile = None,
    secret: Secret = None,
    output: Out = Output.TABLE,
) -> None:
    """Describe a place where data lies. Secrets come from --secrets-file, from YARD_SOURCE_… variables (such as
    YARD_SOURCE_SECRET_ACCESS_KEY), or are asked for."""
    given = {"endpoint_url": endpoint_url, "bucket": bucket, "auth_url": auth_url, "container": container}
    given |= {"project_id": project_id, "domain_name": domain_name, "root": root, "region": region}
    connection = {"type": type, **{field: value for field, value in given.items() if value is not None}}
    with connected() as yard:
        secrets = _secrets(type, secrets_file, secret)
        made = yard.sources.create(name, connection | {"prefix": prefix}, secrets, description=description or "")
    put_one(made, ONE, output)


@app.command("list")
def list_(query: Query = None, limit: Limit = 50, output: Out = Output.TABLE) -> None:
    """Your sources."""
    with connected() as yard:
        put_list(yard.sources.list(limit, q=query), LIST, output, noun="source")


@app.command()
def show(source: Ref, output: Out = Output.TABLE) -> None:
    """One source; of its credentials only the names."""
    with connected() as yard:
        put_one(yard.sources.show(yard.sources.id_of(source)), ONE, output)


@app.command()
def check(source: Ref, prefix: Prefix = "", limit: Limit = 20, output: Out = Output.TABLE) -> None:
    """Whether it lets the platform in, and the first files that lie there."""
    with connected() as yard:
        found = yard.sources.check(yard.sources.id_of(source), prefix=prefix, limit=limit)
    if output is Output.JSON:
        return put_json({"ok": True, "files": found})
    put_list(found, FILES, output, noun="file")
    return print("The platform is let in.")


@app.command()
def credentials(
    source: Ref, secrets_file: SecretsFile = None, secret: Secret = None, output: Out = Output.TABLE
) -> None:
    """Give other secrets in place of the old ones."""
    with connected() as yard:
        known = yard.sources.show(yard.sources.id_of(source))
        changed = yard.sources.credentials(known["id"], _secrets(known["connection"]["type"], secrets_file, secret))
    put_done(f"Source {source} has other credentials.", output, changed)


@app.command()
def delete(source: Ref, yes: Yes = False, output: Out = Output.TABLE) -> None:
    """Forget a source and its secrets; what was imported from it stays."""
    sure(f"Delete source {source}?", yes)
    with connected() as yard:
        id = yard.sources.id_of(source)
        yard.sources.delete(id)
    put_done(f"Source {source} is deleted.", output, {"id": id, "deleted": True})


@app.command("import")
def import_(
    source: Ref,
    dataset: Annotated[str, typer.Argument(help="The dataset's name or id.", show_default=False)],
    prefix: Prefix = "",
    part: Annotated[Literal["train", "test"], typer.Option(help="Which set it is.")] = "train",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is imported.")] = True,
    output: Out = Output.TABLE,
) -> None:
    """Import what lies there now into a dataset, as a version of its own."""
    with connected() as yard:
        into = yard.datasets.id_of(dataset)
        begun = yard.sources.import_(yard.sources.id_of(source), into, part=part, prefix=prefix)
        put_one(imports.awaited(yard, into, begun) if wait else begun, imports.ONE, output)


def _secrets(type: str, file: Path | None, clear: list[str] | None) -> dict[str, str]:
    """The secrets that this type needs: from the file, the command line, the environment, or whoever is there."""
    from yard.api.sources import SECRETS

    given = _read(file) if file is not None else {}
    if clear:
        put_note("Warning: a secret on the command line can be seen by others on this machine, and stays in a history.")
        given |= _lines(clear)
    for name in SECRETS.get(type, ()):
        if name not in given:
            given[name] = os.environ.get(f"{ENVIRONMENT}{name.upper()}") or _asked(name)
    return given


def _read(file: Path) -> dict[str, str]:
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    if not text.lstrip().startswith("{"):
        return _lines([line for line in text.splitlines() if line.strip()])
    try:
        told: dict[str, Any] = json.loads(text)
    except ValueError:
        raise YardError("bad_secrets", "The secrets are no JSON object, though they begin like one.") from None
    return {name: str(value) for name, value in told.items()}


def _lines(lines: list[str]) -> dict[str, str]:
    pairs = [line.partition("=") for line in lines]
    if any(not between for _, between, _ in pairs):
        raise YardError("bad_secrets", "Give each secret as NAME=VALUE.")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _asked(name: str) -> str:
    if not sys.stdin.isatty():
        detail = f"{name} is needed: give --secrets-file (- reads standard input) or {ENVIRONMENT}{name.upper()}."
        raise YardError("nobody_to_ask", detail)
    return str(typer.prompt(name, hide_input=True, err=True))
