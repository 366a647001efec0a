"""`yard dataset versions`, `diff`, `history` and `uses`: what became of a dataset, and who needs it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from yard import forms
from yard.cli.options import Limit, Out, Ref
from yard.cli.output import Column, Output, put_json, put_list
from yard.cli.session import connected

VERSIONS = (
    Column("VERSION", "number"),
    Column("NAME", "name"),
    Column("FILES", "files"),
    Column("SIZE", "bytes", forms.size),
    Column("CLASSES", "classes", lambda classes: str(len(classes)) if classes else ""),
    Column("DIGEST", "digest"),
    Column("CREATED", "created_at", forms.moment),
)
DIFFERENCES = (
    Column("KIND", "kind"),
    Column("PATH", "path"),
    Column("SIZE", "size", forms.size),
    Column("WAS", "earlier_size", forms.size),
    Column("WAS CALLED", "earlier_path"),
)
HISTORY = (
    Column("WHEN", "at", forms.moment),
    Column("WHAT", "deed"),
    Column("WHO", "actor"),
    Column("CHANGED", "changes", forms.changes),
    Column("VERSION", "detail.version"),
    Column("WHY", "detail.reason"),
)
USES = (
    Column("KIND", "kind"),
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("OWNER", "owner"),
)


def versions(dataset: Ref, output: Out = Output.TABLE) -> None:
    """Its imports that became versions, newest first."""
    with connected() as yard:
        put_list(yard.datasets.versions(yard.datasets.id_of(dataset)), VERSIONS, output, noun="version")


def diff(
    dataset: Ref,
    before: Annotated[int, typer.Argument(help="The number of one version.", show_default=False)],
    after: Annotated[int, typer.Argument(help="The number of the other.", show_default=False)],
    kind: Annotated[
        Literal["added", "removed", "changed", "renamed"] | None,
        typer.Option(help="Only such files.", show_default=False),
    ] = None,
    part: Annotated[Literal["train", "test"] | None, typer.Option(help="Which set.", show_default=False)] = None,
    limit: Limit = 50,
    output: Out = Output.TABLE,
) -> None:
    """What is another in one version than in another."""
    with connected() as yard:
        found = yard.datasets.diff(yard.datasets.id_of(dataset), before, after, kind=kind, part=part, limit=limit)
    if output is Output.JSON:
        put_json(found)
    else:
        put_list(found["items"], DIFFERENCES, output, noun="difference")
        print(forms.totals(found["totals"]))


def history(dataset: Ref, limit: Limit = 50, output: Out = Output.TABLE) -> None:
    """Who did what to it, newest first; of a deleted one by its id."""
    with connected() as yard:
        put_list(yard.datasets.history(yard.datasets.id_of(dataset), limit), HISTORY, output, noun="such thing")


def uses(dataset: Ref, output: Out = Output.TABLE) -> None:
    """Who uses it at present: jobs, formatted sets."""
    with connected() as yard:
        found = yard.datasets.uses(yard.datasets.id_of(dataset))
    if output is Output.JSON:
        put_json(found)
        return
    put_list(found["items"], USES, output, noun="use")
    if found["others"]:
        print(f"And {found['others']} that you may not see.")
    for service in found["unknown"]:
        print(f"{service} uses it too, and can't be asked now what for.")
