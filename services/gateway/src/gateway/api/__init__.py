"""The gateway's own routes."""

from gateway.api import dead, events, keys, login, openapi, overview, root, users

ROUTERS = (login.router, users.router, keys.router, overview.router, events.router, dead.router, openapi.router)
"""Those under `/api/v1`."""

ROOT = root.router
"""Those beside it."""
