"""The front door of dataset-svc."""

from __future__ import annotations

from pathlib import Path

from common.db.aggregates import missing
from common.db.leases import Lease
from common.db.uow import UnitOfWork
from common.loops import Loop
from common.service import Platform, Service
from common.web.app import create_app
from common.web.holds import hold_routes
from dataset_svc import set_storage, storage
from dataset_svc.api import routers
from dataset_svc.context import Context
from dataset_svc.reactions import reactions
from dataset_svc.reconcile import Imports, Sets, Tidy
from dataset_svc.settings import Settings

NAME = "dataset-svc"


def build(platform: Platform, settings: Settings | None = None) -> Service:
    """The service on a platform; settings come from the environment where none are given."""
    context = Context(platform.kit(NAME), settings or Settings())
    imports = Imports(context)
    tidy = Tidy(context, lambda: imports.at_work)

    async def body(lease: Lease | None) -> None:
        await imports.round(lease)
        await tidy.round(lease)

    loop = Loop("imports", body, lost=imports.lose)

    def ring() -> None:
        tidy.wanted = True
        loop.wake()

    context.bells["imports"] = ring
    sets = Sets(context)
    building = Loop("sets", sets.round, lost=sets.lose)
    context.bells["sets"] = sets.wake = building.wake
    holds = hold_routes(lambda: context.store, "datasets", _can_be_held)
    set_holds = hold_routes(lambda: context.store, "formatted-sets", _set_can_be_held)
    app = create_app(NAME, "Datasets, their versions and formatted sets", platform.keyring, *routers, holds, set_holds)
    app.state.context = context
    return Service(
        kit=context.kit,
        app=app,
        reactions=reactions(),
        loops=[loop, building],
        migrations=Path(__file__).parent / "migrations" / "versions",
        on_stop=[imports.stop, sets.close, context.makers.stop],
    )


async def _can_be_held(uow: UnitOfWork, dataset_id: str) -> None:
    """Raises NotFound (`dataset_not_found`) where there are no files any more, or they are being removed."""
    await storage.DATASETS.get(
        uow.connection, dataset_id
    )  # alone with it, so that tidying sees this hold or refuses it
    if await storage.files_state(uow.connection, dataset_id) != storage.KEPT:
        raise missing("dataset", dataset_id)


async def _set_can_be_held(uow: UnitOfWork, set_id: str) -> None:
    """Raises NotFound (`formatted_set_not_found`) where there are no files any more, or they are being removed."""
    item = await storage.SETS.get(uow.connection, set_id)
    if item.manifest is None or await set_storage.set_files_state(uow.connection, set_id) != storage.KEPT:
        raise missing("formatted_set", set_id)
