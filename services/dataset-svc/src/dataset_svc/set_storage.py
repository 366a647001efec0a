"""What is asked of the table of formatted sets, and noted in it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.aggregates import missing
from dataset_svc.domain.formatted import OPEN, FormattedSet, SetState
from dataset_svc.storage import GONE, SETS, datasets, formatted_sets


async def living_set(connection: AsyncConnection, set_id: str) -> FormattedSet:
    """The formatted set, unless it was deleted. Raises NotFound (`formatted_set_not_found`)."""
    item = await SETS.get(connection, set_id)
    if item.deleted:
        raise missing("formatted_set", set_id)
    return item


def set_shared() -> ColumnElement[bool]:
    """As `FormattedSet.shared_with`, over the table of sets."""
    mine = select(datasets.c.owner).where(datasets.c.id == formatted_sets.c.dataset_id, datasets.c.shared)
    return and_(formatted_sets.c.state == "ready", formatted_sets.c.owner == mine.scalar_subquery())


async def open_sets(connection: AsyncConnection) -> list[FormattedSet]:
    """Formatted sets that are to be built, oldest first."""
    return await SETS.where(connection, formatted_sets.c.state.in_([str(state) for state in OPEN]))


async def save_set_progress(connection: AsyncConnection, set_id: str, progress: float) -> None:
    """Note how far a set is (0 to 1), for those who ask another instance."""
    await connection.execute(update(formatted_sets).where(formatted_sets.c.id == set_id).values(progress=progress))


async def set_progress(connection: AsyncConnection, set_ids: Sequence[str]) -> dict[str, float]:
    """How far sets are, as last noted."""
    columns = formatted_sets.c.id, formatted_sets.c.progress
    at = select(*columns).where(formatted_sets.c.id.in_(set_ids), formatted_sets.c.progress.is_not(None))
    return {row.id: row.progress for row in await connection.execute(at)}


async def set_files_state(connection: AsyncConnection, set_id: str) -> str | None:
    """Whether a set's files are `kept`, `going` or `gone`; None where it never was."""
    at = select(formatted_sets.c.files).where(formatted_sets.c.id == set_id)
    return (await connection.execute(at)).scalar_one_or_none()


async def useless_sets_with_files(connection: AsyncConnection) -> list[FormattedSet]:
    """Formatted sets that were deleted, or have failed and never will be whole, and whose files are still there."""
    useless = formatted_sets.c.state.in_([str(SetState.DELETED), str(SetState.FAILED)])
    return await SETS.where(connection, useless, formatted_sets.c.files != GONE)
