"""Alembic runs this for each migration; the connection is handed in by `common.db.migrate`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
context.run_migrations()
