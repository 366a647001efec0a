"""The front door of serving-svc."""

from __future__ import annotations

from pathlib import Path

import httpx2

from common.service import Platform, Service
from common.web.app import create_app
from common.workloads.loop import Workloads
from serving_svc.api import router
from serving_svc.context import Context
from serving_svc.reactions import reactions
from serving_svc.reconcile import Keeper, Readiness, ReplicaHooks
from serving_svc.settings import Settings

NAME = "serving-svc"
MIGRATIONS = Path(__file__).parent / "migrations" / "versions"


def build(platform: Platform, settings: Settings | None = None, client: httpx2.AsyncClient | None = None) -> Service:
    """serving-svc on a platform; settings come from the environment unless given. `client` speaks to replicas."""
    settings = settings or Settings()
    kit = platform.kit(NAME)
    client = client or httpx2.AsyncClient(trust_env=False, follow_redirects=False)

    def wake() -> None:
        keeper.loop.wake()
        readiness.loop.wake()

    workloads = Workloads(kit, ReplicaHooks(kit, settings, wake), "replica")
    context = Context(kit, settings, workloads, client, wake)
    keeper, readiness = Keeper(context), Readiness(context)
    app = create_app(NAME, "Inference services", platform.keyring, router)
    app.state.context = context
    return Service(
        kit,
        app,
        reactions(context),
        loops=[workloads.loop, keeper.loop, readiness.loop],
        migrations=MIGRATIONS,
        on_stop=[readiness.close, workloads.close, client.aclose],
    )
