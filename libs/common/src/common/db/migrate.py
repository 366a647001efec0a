"""Migrations by Alembic: one history for SQLite and PostgreSQL, a branch for `common` and one for the service."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from common.db.database import Database

_HERE = Path(__file__).parent / "migrations"


def _config(versions: Path | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    places = [str(_HERE / "versions"), *([str(versions)] if versions else [])]
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(places))
    return config


async def upgrade(database: Database, versions: Path | None = None, revision: str = "heads") -> None:
    """Bring the database to `revision`; `versions` is the folder of the service's own branch."""
    await _run(database, versions, lambda config: command.upgrade(config, revision))


async def downgrade(database: Database, versions: Path | None = None, revision: str = "base") -> None:
    """Take it back to `revision`."""
    await _run(database, versions, lambda config: command.downgrade(config, revision))


async def _run(database: Database, versions: Path | None, act: object) -> None:
    config = _config(versions)

    def migrate(connection: Connection) -> None:
        config.attributes["connection"] = connection
        assert callable(act)
        act(config)

    async with database.migrating() as connection:
        await connection.run_sync(migrate)
