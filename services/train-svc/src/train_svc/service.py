"""The front door of train-svc."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from common.db.uow import UnitOfWork
from common.service import Platform, Service
from common.web.app import create_app
from common.web.holds import hold_routes
from common.workloads.loop import Workloads
from train_svc.api import ROUTERS
from train_svc.attempts import Attempts
from train_svc.context import Context
from train_svc.domain.allocation import Allocation
from train_svc.figures import scheduler
from train_svc.known import NodeBook
from train_svc.ledger import Ledger
from train_svc.metrics import Metrics, Writer
from train_svc.nodes import begin
from train_svc.reactions import reactions
from train_svc.reconcile import loops
from train_svc.resource_specs import SpecBook
from train_svc.settings import Settings
from train_svc.storage import models
from train_svc.usecases import take_up_again

NAME = "train-svc"
METRICS = "train-svc-metrics"
MIGRATIONS = Path(__file__).parent / "migrations" / "versions"


def build(platform: Platform, settings: Settings | None = None) -> Service:
    """train-svc on this platform."""
    settings = settings or Settings()
    kit = platform.kit(NAME)
    metrics = Metrics(platform.database_of(METRICS), settings.metric_series)
    ledger = Ledger(
        platform.inventory,
        settings.cpu_overcommit,
        policy=settings.policy(),
        classes=settings.priority_classes,
        holder=platform.instance,
    )
    attempts = Attempts(kit, settings, ledger, metrics)
    workloads = Workloads(kit, attempts, "job")
    writer = Writer(metrics)
    context = Context(kit, settings, ledger, workloads, metrics, writer, SpecBook(settings), NodeBook())

    async def on_grant(uow: UnitOfWork, allocation: Allocation) -> None:
        await workloads.grant(uow, allocation.workload, allocation.placements)

    ledger.on_grant = on_grant
    attempts.take_up_again = partial(take_up_again, context)
    holds = hold_routes(lambda: kit.store, "models", _was_there)
    app = create_app(NAME, "Modelyard: jobs, models and the scheduler", platform.keyring, *ROUTERS, holds)
    app.state.context = context
    return Service(
        kit=kit,
        app=app,
        reactions=reactions(context),
        loops=loops(context),
        migrations=MIGRATIONS,
        on_start=(metrics.start, partial(begin, context)),
        on_stop=(workloads.close, writer.close, metrics.close),
        figures=[partial(scheduler, context)],
    )


async def _was_there(uow: UnitOfWork, model_id: str) -> None:
    """A deleted model can be held as well: the services that it became still start replicas of it."""
    await models.get(uow.connection, model_id)
