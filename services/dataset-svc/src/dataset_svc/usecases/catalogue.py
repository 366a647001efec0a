"""The catalogue: what everybody may use, presets first, and which class a dataset has (row D10)."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from common.contracts.shared import Visibility
from common.db.aggregates import Page, PageRequest
from dataset_svc.domain.dataset import Dataset
from dataset_svc.storage import DATASETS, datasets

_REST = "rest."
"""Before the cursor of a page that comes after all presets."""

_PRESET = datasets.c.visibility == str(Visibility.PRESET)
_CLASSES = ("current", "train", "classes"), ("current", "test", "classes")


async def catalogue_page(connection: AsyncConnection, page: PageRequest, *wanted: ColumnElement[bool]) -> Page[Dataset]:
    """A page of those that are online for everybody: presets first, each kind in the order that is asked for.

    Raises BadRequest (`bad_cursor`, `bad_sort`).
    """
    wanted = (*wanted, datasets.c.shared)
    if page.cursor is not None and page.cursor.startswith(_REST):
        return await _rest(connection, replace(page, cursor=page.cursor.removeprefix(_REST) or None), wanted)
    presets = await DATASETS.page(connection, page, _PRESET, *wanted)
    left = page.limit - len(presets.items)
    if presets.next_cursor is not None:
        return presets
    if not left:
        more = await _rest(connection, replace(page, cursor=None, limit=1), wanted)
        return Page(presets.items, _REST if more.items else None)
    rest = await _rest(connection, replace(page, cursor=None, limit=left), wanted)
    return Page([*presets.items, *rest.items], rest.next_cursor)


async def _rest(
    connection: AsyncConnection, page: PageRequest, wanted: tuple[ColumnElement[bool], ...]
) -> Page[Dataset]:
    """Those that are no presets."""
    found = await DATASETS.page(connection, page, ~_PRESET, *wanted)
    return Page(found.items, f"{_REST}{found.next_cursor}" if found.next_cursor else None)


def has_class(connection: AsyncConnection, name: str) -> ColumnElement[bool]:
    """Whether the current version has files of that class."""
    if connection.dialect.name == "postgresql":
        inside = [func.jsonb_extract_path(datasets.c.doc, *path) for path in _CLASSES]
        return or_(*(and_(found.is_not(None), func.jsonb_exists(found, name)) for found in inside))
    each = [func.json_each(datasets.c.doc, f"$.{'.'.join(path)}").table_valued("key") for path in _CLASSES]
    return or_(*(select(1).select_from(rows).where(rows.c.key == name).exists() for rows in each))
