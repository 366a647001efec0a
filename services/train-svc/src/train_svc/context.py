"""What every room of train-svc works with, made once in `service.build`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from common.service import Kit
from common.workloads.loop import Workloads
from train_svc.domain.job import Job
from train_svc.domain.request import House
from train_svc.known import NodeBook
from train_svc.ledger import Ledger
from train_svc.metrics import Metrics, Writer
from train_svc.resource_specs import SpecBook
from train_svc.settings import Settings


@dataclass(frozen=True)
class Context:
    """The service's parts. `lately`: jobs for which points came within a second, with the hour to look again."""

    kit: Kit
    settings: Settings
    ledger: Ledger
    workloads: Workloads
    metrics: Metrics
    writer: Writer
    specs: SpecBook
    nodes: NodeBook
    lately: dict[str, tuple[float, Job]] = field(default_factory=dict)

    @property
    def simulated(self) -> set[tuple[str, str]]:
        """The devices, by node, that are declared only."""
        return {(node.name, one.id) for node in self.ledger.nodes for one in node.devices if one.simulated}

    @property
    def house(self) -> House:
        """What this installation allows."""
        return self.specs.house(self.ledger.nodes, self.ledger.never_fits)


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(_context)]
