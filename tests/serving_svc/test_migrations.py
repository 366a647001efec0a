"""The migrations make exactly the tables that the code uses, and can be taken back."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect

from common.db.database import Database
from common.db.migrate import downgrade, upgrade
from serving_svc.service import MIGRATIONS
from serving_svc.storage import METADATA


async def test_the_tables_are_those_of_the_code(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/db.sqlite3")
    await upgrade(database, MIGRATIONS)

    def columns(connection: Connection) -> dict[str, set[str]]:
        found = inspect(connection)
        return {name: {c["name"] for c in found.get_columns(name)} for name in found.get_table_names()}

    async with database.reading() as connection:
        there = await connection.run_sync(columns)
    for table in METADATA.sorted_tables:
        assert there[table.name] == {column.name for column in table.columns}
    await downgrade(database, MIGRATIONS)
    async with database.reading() as connection:
        assert set(await connection.run_sync(columns)) <= {"alembic_version"}
    await database.close()
