"""Whether a database answers, asked over a connection that nothing else uses.

A pool that is full says nothing of the database, and a connection that leads nowhere says it only after a long while.
"""

from __future__ import annotations

import asyncpg
from sqlalchemy.engine import URL

from common.kernel.errors import Unavailable

SECONDS = 2.0


class Pulse:
    """One connection to PostgreSQL, made again whenever it was lost."""

    def __init__(self, url: URL) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._place = f"{url.host}:{url.port or 5432}/{url.database}"
        self._connection: asyncpg.Connection | None = None

    async def feel(self) -> None:
        """Return where the database answers. Raises Unavailable (`database_unavailable`) with the reason."""
        try:
            if self._connection is None:
                self._connection = await asyncpg.connect(self._address, timeout=SECONDS)
            await self._connection.fetchval("SELECT 1", timeout=SECONDS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:  # a time-out is an OSError
            self.close()
            said = f"The database {self._place} does not answer: {str(error) or type(error).__name__}"
            raise Unavailable("database_unavailable", said) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connection up."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
