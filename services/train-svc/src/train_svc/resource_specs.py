"""What named resource specs mean: what is built in, what settings say, and what administrators say above both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import TypeAdapter
from sqlalchemy import Column, String, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.contracts.shared import Resources
from common.db.tables import Instant, Json
from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, NotFound
from common.ports.inventory import Node
from train_svc.domain.errors import NeverFits
from train_svc.domain.request import House
from train_svc.domain.specs import DEFAULT_SPECS, Spec
from train_svc.known import METADATA
from train_svc.settings import Settings

specs_table = Table(
    "resource_specs",
    METADATA,
    Column("name", String(40), primary_key=True),
    Column("cluster", String(255), primary_key=True),
    Column("updated_by", String(48), nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("doc", Json, nullable=False),
)
"""What administrators say that a name means, on one cluster, or (where that is empty) on every one."""

_DOC: TypeAdapter[Spec] = TypeAdapter(Spec)

Source = Literal["built in", "settings", "administrator"]


@dataclass(frozen=True)
class NamedSpec:
    """One meaning of a name. `cluster` None is everywhere; `updated_by` and `updated_at` tell who said so, and when,
    where it was an administrator."""

    name: str
    cluster: str | None
    spec: Spec
    source: Source
    updated_by: str | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True)
class Specs:
    """All meanings, by (name, cluster): the last that was said counts."""

    named: Mapping[tuple[str, str | None], NamedSpec] = field(default_factory=dict)

    def everywhere(self) -> dict[str, Spec]:
        """What names mean where their cluster says nothing."""
        return {name: one.spec for (name, cluster), one in self.named.items() if cluster is None}

    def of_clusters(self) -> dict[str, dict[str, Spec]]:
        """What names mean on single clusters, by cluster and name."""
        found: dict[str, dict[str, Spec]] = {}
        for (name, cluster), one in self.named.items():
            if cluster is not None:
                found.setdefault(cluster, {})[name] = one.spec
        return found


def configured(settings: Settings) -> Iterator[NamedSpec]:
    """What the platform and its settings say."""
    for name, spec in settings.named_specs().items():
        built_in = DEFAULT_SPECS.get(name) == spec
        yield NamedSpec(name, None, spec, "built in" if built_in else "settings")
    for cluster, specs in settings.specs_of_clusters().items():
        for name, spec in specs.items():
            yield NamedSpec(name, cluster, spec, "settings")


async def all_specs(connection: AsyncConnection, settings: Settings) -> Specs:
    """Everything that names mean now."""
    named = {(one.name, one.cluster): one for one in configured(settings)}
    for row in (await connection.execute(select(specs_table).order_by(specs_table.c.name))).all():
        spec, cluster = _DOC.validate_python(row.doc), row.cluster or None
        named[row.name, cluster] = NamedSpec(row.name, cluster, spec, "administrator", row.updated_by, row.updated_at)
    return Specs(dict(sorted(named.items(), key=lambda item: (item[0][0], item[0][1] or ""))))


@dataclass
class SpecBook:
    """What names mean as this instance last read it: at once where it was said here, soon where it was elsewhere."""

    settings: Settings
    specs: Specs = field(default_factory=Specs)
    _house: House | None = None
    _of: Specs | None = None

    async def refresh(self, connection: AsyncConnection) -> None:
        """Read it again."""
        self.specs = await all_specs(connection, self.settings)

    def house(self, nodes: tuple[Node, ...], never_fits: Callable[[Resources, str], NeverFits | None]) -> House:
        """What this installation allows, with these nodes."""
        if self._house is None or self._house.nodes is not nodes or self._of is not self.specs:
            settings, self._of = self.settings, self.specs
            self._house = House(
                nodes=nodes,
                specs=self.specs.everywhere() or settings.named_specs(),
                default_time_limit=min(settings.time_limit_seconds, settings.longest_time_limit_seconds),
                longest_time_limit=settings.longest_time_limit_seconds,
                never_fits=never_fits,
                of_clusters=self.specs.of_clusters(),
            )
        return self._house


async def say(uow: UnitOfWork, name: str, cluster: str | None, spec: Spec, by: str) -> NamedSpec:
    """Say what a name means from now on. What was asked for before keeps what it got."""
    row = {"updated_by": by, "updated_at": uow.clock.now(), "doc": _DOC.dump_python(spec, mode="json")}
    key = (specs_table.c.name == name) & (specs_table.c.cluster == (cluster or ""))
    if not (await uow.connection.execute(update(specs_table).where(key).values(row))).rowcount:
        await uow.connection.execute(insert(specs_table).values(name=name, cluster=cluster or "", **row))
    return NamedSpec(name, cluster, spec, "administrator", by, uow.clock.now())


async def unsay(uow: UnitOfWork, name: str, cluster: str | None, settings: Settings) -> None:
    """Take back what an administrator said. Raises NotFound (`resource_spec_not_found`), Conflict (`not_said_here`)."""
    key = (specs_table.c.name == name) & (specs_table.c.cluster == (cluster or ""))
    if (await uow.connection.execute(delete(specs_table).where(key))).rowcount:
        return
    where = f"on the cluster {cluster}" if cluster else "everywhere"
    if any((one.name, one.cluster) == (name, cluster) for one in configured(settings)):
        raise Conflict(
            "not_said_here",
            f"What {name!r} means {where} was not said by the API: it is built in or a setting (TRAIN_SPECS). "
            "Say what it means instead.",
        )
    raise NotFound("resource_spec_not_found", f"Nobody said what {name!r} means {where}.")
