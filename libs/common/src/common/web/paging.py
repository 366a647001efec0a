"""Lists in pages: `limit`, `cursor`, `sort` in, `items` and `next_cursor` out."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel

from common.db.aggregates import PageRequest

I = TypeVar("I")  # noqa: E741


class PageOf(BaseModel, Generic[I]):
    """A part of a list; `next_cursor` is null at its end."""

    items: list[I]
    next_cursor: str | None = None


async def _page(
    limit: Annotated[int, Query(ge=1, le=500, description="How many at the most")] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
    sort: Annotated[str, Query(description="created_at, updated_at, name or state; - to descend")] = "-created_at",
) -> PageRequest:
    return PageRequest(limit, cursor, sort)


Paging = Annotated[PageRequest, Depends(_page)]
