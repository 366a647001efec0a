"""The history of every service goes up and down on both dialects, beside that of `common`."""

from pathlib import Path

import pytest
from sqlalchemy import inspect

from common.db.database import Database
from common.db.migrate import downgrade, upgrade

HISTORIES = sorted(Path(__file__).parents[3].glob("services/*/src/*/migrations"))


async def shape(database: Database) -> dict[str, list[str]]:
    def look(connection):
        inspector = inspect(connection)
        tables = sorted(set(inspector.get_table_names()) - {"alembic_version"})
        return {table: sorted(column["name"] for column in inspector.get_columns(table)) for table in tables}

    async with database.reading() as connection:
        return await connection.run_sync(look)


@pytest.mark.parametrize("history", HISTORIES, ids=lambda path: path.parent.name)
async def test_up_down_up(empty_url, history):
    database = Database(empty_url)
    await upgrade(database, history)
    made = await shape(database)
    await downgrade(database, history)
    assert await shape(database) == {}
    await upgrade(database, history)
    assert await shape(database) == made
    await database.close()
