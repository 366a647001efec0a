"""The front door of algo-svc."""

from __future__ import annotations

from pathlib import Path

from algo_svc.api import algorithm_routes, engine_routes
from algo_svc.builds import Builder
from algo_svc.context import Context
from algo_svc.installing import install
from algo_svc.settings import Settings
from algo_svc.storage import was_there
from common.loops import Loop
from common.service import Platform, Service
from common.web.app import create_app
from common.web.holds import hold_routes

NAME = "algo-svc"
MIGRATIONS = Path(__file__).parent / "migrations" / "versions"


def build(platform: Platform, settings: Settings | None = None) -> Service:
    """algo-svc on a platform; settings come from the environment unless given."""
    settings = settings or Settings()
    kit = platform.kit(NAME)
    builder = Builder(kit)
    building = Loop("engines", builder.round, every=5.0)
    holds = hold_routes(lambda: kit.store, "algorithms", was_there)
    app = create_app(NAME, "Algorithms and engines", platform.keyring, algorithm_routes, engine_routes, holds)
    app.state.context = Context(kit, settings, building.wake)

    async def install_presets() -> None:
        if settings.presets:
            await install(kit)

    return Service(
        kit,
        app,
        loops=[building],
        migrations=MIGRATIONS,
        on_start=[install_presets],
        on_stop=[builder.close],
    )
