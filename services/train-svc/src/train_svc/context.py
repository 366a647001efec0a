"""What every room of train-svc works with, made once in `service.build`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from common.service import Kit
from common.workloads.loop import Workloads
from train_svc.domain.job import Job
from train_svc.domain.request import House
from train_svc.ledger import Ledger
from train_svc.metrics import Metrics, Writer
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
    lately: dict[str, tuple[float, Job]] = field(default_factory=dict)

    @property
    def house(self) -> House:
        """What this installation allows."""
        settings = self.settings
        return House(
            nodes=self.ledger.nodes,
            specs=settings.named_specs(),
            default_time_limit=min(settings.time_limit_seconds, settings.longest_time_limit_seconds),
            longest_time_limit=settings.longest_time_limit_seconds,
        )


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(_context)]
