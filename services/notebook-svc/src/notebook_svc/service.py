"""The front door of notebook-svc."""

from __future__ import annotations

from pathlib import Path

from common.service import Platform, Service
from common.web.app import create_app
from notebook_svc.api import router
from notebook_svc.context import Context
from notebook_svc.settings import Settings

NAME = "notebook-svc"
MIGRATIONS = Path(__file__).parent / "migrations" / "versions"


def build(platform: Platform, settings: Settings | None = None) -> Service:
    """notebook-svc on a platform; settings come from the environment unless given."""
    kit = platform.kit(NAME)
    app = create_app(NAME, "Base environments", platform.keyring, router)
    app.state.context = Context(kit, settings or Settings())
    return Service(kit, app, migrations=MIGRATIONS)
