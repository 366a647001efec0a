"""The tables of the metrics database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Integer, LargeBinary, MetaData, String, Table, UniqueConstraint

from common.db.tables import BigId

METADATA = MetaData()

series = Table(
    "series",
    METADATA,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("attempt", String(48), nullable=False),
    Column("name", String(100), nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("tail", Integer, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("last_value", Float, nullable=False),
    UniqueConstraint("attempt", "name"),
)
"""One metric of one attempt: how many chunks it has, how many points the last of them, and its latest point."""

chunks = Table(
    "chunks",
    METADATA,
    Column("series", BigInteger, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("steps", LargeBinary, nullable=False),
    Column("values", LargeBinary, nullable=False),
)
"""Points of one series: 64-bit steps, strictly ascending within a chunk, and doubles."""

tails = Table(
    "tails",
    METADATA,
    Column("attempt", String(48), primary_key=True),
    Column("offset", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
)
"""How far an attempt's metrics file was read, in bytes, and how much in it could not be read as points."""
