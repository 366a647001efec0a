"""`yard allocation …`"""

from __future__ import annotations

from yard import forms
from yard.cli.options import Limit, Out, Ref, State, noun
from yard.cli.output import Column, Output, put_list, put_one
from yard.cli.session import connected

allocations = noun("Allocations: which workload was promised what.")


ALLOCATIONS = (
    Column("ID", "id"),
    Column("STATE", "state"),
    Column("PLACE", "position"),
    Column("KIND", "kind"),
    Column("WORKLOAD", "workload"),
    Column("RESOURCES", "resources", forms.resources),
    Column("PLACEMENTS", "placements", forms.placements),
    Column("OWNER", "owner"),
)
ALLOCATION = (
    *(Column(column.title.lower(), column.field, column.form) for column in ALLOCATIONS),
    Column("detail", "detail"),
    Column("waits", "waiting", forms.said),
    Column("gives way", "giving_way", forms.said),
    Column("created", "created_at", forms.moment),
)


@allocations.command("list")
def list_allocations(state: State = None, limit: Limit = 50, output: Out = Output.TABLE) -> None:
    """Who holds what, and who waits."""
    with connected() as yard:
        put_list(yard.allocations.list(limit, state=state), ALLOCATIONS, output, noun="allocation")


@allocations.command("show")
def show_allocation(allocation: Ref, output: Out = Output.TABLE) -> None:
    """One allocation, and why it waits."""
    with connected() as yard:
        put_one(yard.allocations.show(yard.allocations.id_of(allocation)), ALLOCATION, output)
