"""The migrations make exactly the tables that the code uses, and can be taken back."""

from sqlalchemy import inspect

from common.db.database import Database
from common.db.migrate import downgrade, upgrade
from common.db.tables import COMMON


async def shape(database: Database) -> dict[str, set[str]]:
    def look(connection):
        inspector = inspect(connection)
        return {
            table: {column["name"] for column in inspector.get_columns(table)} for table in inspector.get_table_names()
        }

    async with database.reading() as connection:
        return await connection.run_sync(look)


async def test_up_down_up(empty_url):
    database = Database(empty_url)
    declared = {table.name: {column.name for column in table.columns} for table in COMMON.sorted_tables}
    await upgrade(database)
    made = await shape(database)
    assert {name: made[name] for name in declared} == declared
    await upgrade(database)
    await downgrade(database)
    assert set(await shape(database)) <= {"alembic_version"}
    await upgrade(database)
    assert set(declared) <= set(await shape(database))
    await database.close()
