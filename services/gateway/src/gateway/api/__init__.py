"""The gateway's own routes."""

from gateway.api import events, keys, login, openapi, overview, root, users

ROUTERS = (login.router, users.router, keys.router, overview.router, events.router, openapi.router)
"""Those under `/api/v1`."""

ROOT = root.router
"""Those beside it."""
