"""PostgreSQL, with a migrated template that is copied for every test."""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from tests.servers.packages import ensure
from tests.servers.ports import quiet_port
from tests.servers.process import Server


def _find() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


class Postgres(Server):
    """One server; `durable` waits for the disk at each commit, as in production."""

    name = "postgres"
    user = "postgres"

    def __init__(self, *, durable: bool = False) -> None:
        self.programs = ensure("postgresql", _find)
        super().__init__()
        self.port = quiet_port()
        self._durable = durable
        self._made = 0
        self._templates: set[str] = set()
        self.run([self.programs / "initdb", "-D", "data", "-U", "yard", "-A", "trust", "-E", "UTF8", "--no-locale"])

    def start(self) -> None:
        """Start it and return when it takes connections."""
        wait_for_disk = "on" if self._durable else "off"
        settings = {"fsync": wait_for_disk, "max_connections": "200"}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        place = ["-D", "data", "-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder)]
        self.spawn([self.programs / "postgres", *place, *flags])
        self.wait_until_it_answers()

    def answers(self) -> bool:
        """Whether it lets us in (startup message of protocol 3.0; PostgreSQL manual, 55.7)."""
        about = b"user\0yard\0database\0postgres\0\0"
        hello = struct.pack("!ii", 8 + len(about), 196608) + about
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as one:
                one.sendall(hello)
                return one.recv(1) == b"R"
        except OSError:
            return False

    def url(self, database: str, port: int | None = None) -> str:
        """Where a service finds a database; `port` is that of a proxy in between."""
        return f"postgresql+asyncpg://yard@127.0.0.1:{port or self.port}/{database}"

    async def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements outside any transaction."""
        connection = await asyncpg.connect(host="127.0.0.1", port=self.port, user="yard", database=database)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def fetch(self, query: str, *, database: str) -> list[tuple[Any, ...]]:
        """The rows that a query gives."""
        connection = await asyncpg.connect(host="127.0.0.1", port=self.port, user="yard", database=database)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    async def create(self, template: str = "template1") -> str:
        """A new database, a copy of `template`; its URL."""
        self._made += 1
        name = f"test_{self._made}"
        await self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    async def copy_of(self, template: str, prepare: Callable[[str], Awaitable[None]]) -> str:
        """A new database like `template`, which `prepare` fills (given its URL) when it is asked for first."""
        if template not in self._templates:
            await self.execute(f'CREATE DATABASE "{template}"')
            await prepare(self.url(template))
            self._templates.add(template)
        return await self.create(template)

    async def drop(self, url: str) -> None:
        """Remove a database, whoever uses it."""
        await self.execute(f'DROP DATABASE IF EXISTS "{make_url(url).database}" WITH (FORCE)')
