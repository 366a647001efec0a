"""Options and arguments that many commands share, said once."""

from __future__ import annotations

from typing import Annotated

import typer

from yard.cli.output import Output

Out = Annotated[Output, typer.Option("--output", "-o", help="How to answer: a table, or JSON for programs.")]
Ref = Annotated[str, typer.Argument(help="Its name or id.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
Query = Annotated[str | None, typer.Option("--query", "-q", help="A part of the name.", show_default=False)]
State = Annotated[str | None, typer.Option("--state", help="Only those in this state.", show_default=False)]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at the most, newest first.")]
Name = Annotated[str | None, typer.Option("--name", help="A new name.", show_default=False)]
Description = Annotated[str | None, typer.Option("--description", help="A description.", show_default=False)]
Attempt = Annotated[int | None, typer.Option("--attempt", help="An earlier attempt.", show_default=False)]


def noun(help: str) -> typer.Typer:
    """The commands of one noun."""
    return typer.Typer(help=help, no_args_is_help=True)
