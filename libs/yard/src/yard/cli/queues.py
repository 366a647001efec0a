"""`yard queue …`, and `yard job why`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from yard import forms
from yard.cli.options import Out, Ref, noun
from yard.cli.output import Column, Output, put_done, put_json, put_list, put_one
from yard.cli.parameters import size
from yard.cli.session import connected
from yard.errors import YardError

queues = noun("Queues: what groups may use, and who waits.")

QueueName = Annotated[str, typer.Argument(help="The queue's name.", show_default=False)]
Amounts = Annotated[
    list[str] | None, typer.Option(help="RESOURCE=AMOUNT, like gpu=4, cpu=16, memory=64GiB.", show_default=False)
]


def _amounts(value: Any) -> str:
    """Amounts by resource, memory in its units."""
    if not isinstance(value, Mapping):
        return ""
    return "  ".join(f"{name}={forms.size(n) if name == 'memory' else f'{n:g}'}" for name, n in value.items())


LIST = (
    Column("NAME", "name"),
    Column("GROUP", "group"),
    Column("WAITING", "waiting_total"),
    Column("RUNNING", "granted"),
    Column("USED", "used", _amounts),
    Column("GUARANTEED", "guaranteed", _amounts),
    Column("MAXIMUM", "maximum", _amounts),
    Column("COHORT", "cohort"),
)
ONE = (
    *(Column(column.title.lower(), column.field, column.form) for column in LIST),
    Column("borrowing", "borrowing", _amounts),
    Column("weight", "weight"),
    Column("per user", "per_user", _amounts),
)


@queues.command("list")
def list_queues(output: Out = Output.TABLE) -> None:
    """Every queue, and how many wait in it."""
    with connected() as yard:
        found, _ = yard.queues.look()
        put_list(found, LIST, output, noun="queue")


@queues.command("show")
def show_queue(queue: QueueName, output: Out = Output.TABLE) -> None:
    """One queue: its quotas and what is used of them."""
    with connected() as yard:
        put_one(yard.queues.show(queue), ONE, output)


@queues.command("set")
def set_queue(
    queue: QueueName,
    group: Annotated[str, typer.Option(help="Whose queue it is.")],
    guaranteed: Amounts = None,
    maximum: Amounts = None,
    borrowing: Amounts = None,
    per_user: Amounts = None,
    cohort: Annotated[
        str | None, typer.Option(help="Queues of one cohort lend each other what they leave.", show_default=False)
    ] = None,
    weight: Annotated[float, typer.Option(help="Its group's share beside others.")] = 1.0,
    output: Out = Output.TABLE,
) -> None:
    """Make or change a queue. For administrators."""
    asked = {
        "group": group,
        "guaranteed": amounts_of(guaranteed),
        "maximum": amounts_of(maximum),
        "borrowing": amounts_of(borrowing) if borrowing is not None else None,
        "cohort": cohort,
        "weight": weight,
        "per_user": amounts_of(per_user),
    }
    with connected() as yard:
        put_one(yard.queues.put(queue, asked), ONE, output)


@queues.command("delete")
def delete_queue(queue: QueueName, output: Out = Output.TABLE) -> None:
    """Remove a queue that nobody uses. For administrators."""
    with connected() as yard:
        yard.queues.remove(queue)
    put_done(f"The queue {queue} is removed.", output)


def amounts_of(told: list[str] | None) -> dict[str, float]:
    """Amounts from `RESOURCE=AMOUNT`. Raises YardError (`bad_option`)."""
    found: dict[str, float] = {}
    for one in told or ():
        name, equals, amount = one.partition("=")
        try:
            found[name] = size(amount) if name == "memory" else float(amount)
        except ValueError as error:
            raise YardError("bad_option", f"{one!r} is no amount. Write it like gpu=4 or memory=64GiB.") from error
        if not equals or not name:
            raise YardError("bad_option", f"{one!r} is no amount. Write it like gpu=4 or memory=64GiB.")
    return found


def why(job: Ref, output: Out = Output.TABLE) -> None:
    """Why it waits: its place, what is missing where, what holds it, and when it begins at the latest; of one that
    runs, whether it is to give way, for whom and until when."""
    with connected() as yard:
        seen = yard.jobs.show(yard.jobs.id_of(job))
    waiting, giving_way = seen.get("waiting"), seen.get("giving_way")
    if output is Output.JSON:
        put_json({"id": seen["id"], "state": seen["state"], "waiting": waiting, "giving_way": giving_way})
    elif (told := waiting or giving_way) is None:
        print(f"It does not wait for capacity: it is {seen['state']}.")
    else:
        print("\n".join(told["sentences"]))
