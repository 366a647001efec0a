"""Pages of samples where a file may hold many of them: each row counts as one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from common import manifests
from common.contracts.shared import ManifestRef
from common.manifests import Entry
from common.staging.samples import rows_entry
from dataset_svc.context import Context
from dataset_svc.domain.versions import Content
from dataset_svc.formats.port import RowReader
from dataset_svc.looking.names import fold
from dataset_svc.looking.rowpages import RowFile, RowPage
from dataset_svc.usecases import annotated, finding
from dataset_svc.usecases.finding import Wanted


@dataclass
class Filling:
    """A page that has room for so many samples yet. `drawn` is what is annotated in its files, by path; `following`
    the file at which the next page begins, and the number of the row in it."""

    room: int
    files: list[Entry] = field(default_factory=list)
    drawn: dict[str, Any] = field(default_factory=dict)
    following: tuple[str, int] | None = None

    def add_files(self, found: list[Entry]) -> None:
        """Files that are a sample each, as far as there is room."""
        self.files += found[: self.room]
        if len(found) > self.room:
            self.following = (found[self.room].path, 0)
        self.room -= min(len(found), self.room)

    def add_rows(self, file: Entry, page: RowPage) -> None:
        """Rows of a file; one that has none is left out."""
        if page.rows:
            self.files.append(file)
            self.drawn[file.path] = {"kind": "rows", "total": page.total, "rows": page.rows}
            self.room -= len(page.rows)
        if page.following is not None:
            self.following = (file.path, page.following)


async def page_of(
    context: Context, content: Content, reader: RowReader, label: str | None, wanted: Wanted, row: int
) -> Filling:
    """A page from the number `row` on of the file at which it begins."""
    assert content.annotations is not None, "it says how the rows lie"
    found = await _candidates(context, content, content.annotations, label, wanted)
    noted = await manifests.find_many(context.files, content.annotations, [rows_entry(entry.path) for entry in found])
    page = Filling(limit := wanted.most - 1)
    for entry, has_rows in zip(found[:limit], noted, strict=False):
        if page.following is not None:
            break
        if has_rows is None or not page.room:
            page.add_files([entry])
        else:
            file = _row_file(context, content, content.annotations, entry, reader)
            page.add_rows(entry, await file.page(label, row if entry.path == wanted.path else 0, page.room))
    if page.following is None and len(found) > limit:
        page.following = (found[limit].path, 0)
    others = [entry.path for entry in page.files if entry.path not in page.drawn]
    page.drawn |= await annotated.of(context.files, content.annotations, others)
    return page


async def _candidates(
    context: Context, content: Content, ref: ManifestRef, label: str | None, wanted: Wanted
) -> list[Entry]:
    """The files that a page may have, in the order of their paths: tables don't say which classes they have."""
    found = {entry.path: entry for entry in await finding.annotated(context, content, label, wanted)}
    if label is not None and not await finding.notes_classes(context, ref):
        rows = await manifests.find_many(context.files, content.manifest, await _noted(context, ref, wanted))
        found |= {entry.path: entry for entry in rows if entry is not None}
    return [found[path] for path in sorted(found)][: wanted.most]


async def _noted(context: Context, ref: ManifestRef, wanted: Wanted) -> list[str]:
    """The files whose rows are noted, as far as they are wanted."""
    prefix, needle, found = rows_entry(""), fold(wanted.part), list[str]()
    async for entry in manifests.entries_from(context.files, ref, rows_entry(wanted.path)):
        path = entry.path.removeprefix(prefix)
        if not entry.path.startswith(prefix) or len(found) == wanted.most:
            break
        if needle in fold(path.rpartition("/")[2]):
            found.append(path)
    return found


def _row_file(context: Context, content: Content, ref: ManifestRef, entry: Entry, reader: RowReader) -> RowFile:
    return RowFile(context.files, context.cache, content.manifest, ref, entry, reader)
