"""`yard events …`"""

from __future__ import annotations

from typing import Annotated

import typer

from yard import forms
from yard.cli.options import Limit, Out, noun
from yard.cli.output import Column, Output, put_done, put_list
from yard.cli.session import connected
from yard.errors import Fault, YardError

app = noun("Events that a service could not take (for administrators).")

LETTERS = (
    Column("ID", "id"),
    Column("TYPE", "type"),
    Column("SUBJECT", "subject"),
    Column("SINCE", "since", forms.moment),
    Column("TRIES", "attempts"),
    Column("ERROR", "error"),
    Column("WHAT TO DO", "advice"),
)

Service = Annotated[
    str | None, typer.Option("--service", help="Only those of this service, such as train-svc.", show_default=False)
]


@app.command("dead")
def list_dead(service: Service = None, limit: Limit = 50, output: Out = Output.TABLE) -> None:
    """Dead letters: events that a handler failed on again and again, or that never reached it, oldest first."""
    with connected() as yard:
        told = yard.events.dead(limit, service=service)
    put_list(told["items"], LETTERS, output, noun="dead letter")
    if told["unavailable"]:
        faults = tuple(Fault(one["service"], one["reason"]) for one in told["unavailable"])
        raise YardError("incomplete", "Not every service told all of its dead letters.", faults)


@app.command("replay")
def replay(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of dead letters.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="All that there are.")] = False,
    service: Service = None,
    output: Out = Output.TABLE,
) -> None:
    """Give dead letters back to their handlers, for another series of tries. Mend what they failed on before."""
    if bool(ids) == every or (service and not every):
        raise YardError("which_letters", "Give the ids of dead letters, or --all (with --service for one service).")
    with connected() as yard:
        told = yard.events.replay(ids) if ids else yard.events.replay_all(service=service)
    count = len(told["replayed"])
    put_done(f"{count} dead letter{'' if count == 1 else 's'} replayed.", output, told)
    if told["failed"]:
        faults = tuple(Fault(one["id"], one["detail"]) for one in told["failed"])
        raise YardError("not_replayed", f"{len(faults)} could not be replayed.", faults)
