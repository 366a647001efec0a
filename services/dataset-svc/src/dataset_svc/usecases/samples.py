"""Looking into a version: its files page by page and class by class, and the bytes of one (row D5)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common import manifests
from common.contracts.shared import ManifestRef
from common.kernel.errors import BadRequest, Conflict, NotFound
from common.manifests import Entry
from common.web.downloads import Place
from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.dataset import Dataset
from dataset_svc.domain.errors import DatasetEmpty
from dataset_svc.domain.taxonomy import Part
from dataset_svc.domain.versions import Content, Sample, Version
from dataset_svc.formats import get_format
from dataset_svc.usecases import annotated, finding, rowed
from dataset_svc.usecases.access import to_see
from dataset_svc.usecases.finding import Wanted
from dataset_svc.usecases.rowed import Filling

_BETWEEN = "\0"
"""Parts the numbers of a cursor from its path: no path has it."""
_DIGITS = 19
_BAD_CURSOR = "The cursor is not one that a list gave. Start without it."


@dataclass(frozen=True)
class SamplePage:
    """Some samples of one part of one version; `next_cursor` is None at the end. `annotations` says by path what is
    annotated in them, as the format's checker gave it."""

    version: int
    part: Part
    items: Sequence[Sample]
    next_cursor: str | None
    annotations: Mapping[str, Any]


@dataclass(frozen=True)
class Start:
    """Where a page begins: in which version (None: the current one), at which file, at which of its rows."""

    number: int | None
    path: str = ""
    row: int = 0


async def list_samples(
    context: Context,
    who: Principal,
    dataset_id: str,
    *,
    label: str | None,
    part_of_name: str,
    limit: int,
    cursor: str | None,
    number: int | None,
    part: Part,
) -> SamplePage:
    """Samples in the order of their paths, of one class or of all, whose names have that part where one is given,
    whatever its case. Of a file that holds many samples a page gives the next ones, as what is annotated in it. Raises
    NotFound, Conflict (`dataset_empty`, `class_not_indexed`), BadRequest (`bad_cursor`)."""
    start = _start_of(cursor, number)
    dataset, version = await _version(context, who, dataset_id, start.number)
    content = content_of(version, part)
    wanted = Wanted(part_of_name.strip(), start.path, limit + 1)
    reader = get_format(dataset.format).recorded(dataset.held_as).rows
    if reader is not None and content.split_by is not None:
        page = await rowed.page_of(context, content, reader, label, wanted, start.row)
    else:
        page = await _of_files(context, content, label, wanted)
        if reader is not None and label in content.classes and not page.files and not wanted.part:
            raise _not_indexed(version, label)
    return SamplePage(version.number, part, *_shown(page, content, version.number))


async def _of_files(context: Context, content: Content, label: str | None, wanted: Wanted) -> Filling:
    """A page of files, of one class or of all."""
    page = Filling(wanted.most - 1)
    if content.annotations is None:
        page.add_files(await finding.entries(context, content.manifest, f"{label}/" if label else "", wanted))
        return page
    page.add_files(await finding.annotated(context, content, label, wanted))
    page.drawn |= await annotated.of(context.files, content.annotations, [entry.path for entry in page.files])
    return page


def _shown(page: Filling, content: Content, number: int) -> tuple[Sequence[Sample], str | None, Mapping[str, Any]]:
    path, row = page.following or ("", 0)
    more = cursor_of(_BETWEEN.join((str(number), str(row), path))) if path else None
    return [sample_of(entry, content) for entry in page.files], more, page.drawn


def _not_indexed(version: Version, label: str | None) -> Conflict:
    detail = f"Version {version.number} was imported before its rows were noted, and can't be searched for {label!r}."
    return Conflict("class_not_indexed", f"{detail} Import its archive again.")


async def place_of_sample(
    context: Context, who: Principal, dataset_id: str, path: str, *, number: int | None, part: Part
) -> Place:
    """Where one file is. Raises NotFound (`file_not_found`, `version_not_found`), Conflict (`dataset_empty`)."""
    _, version = await _version(context, who, dataset_id, number)
    manifest = manifest_of(version, part)
    return Place(context.files, manifest, await manifests.find(context.files, manifest, path))


def sample_of(entry: Entry, content: Content) -> Sample:
    """The entry as people know it; the class is the first folder of its path, unless annotations say what is in it."""
    label, slash, _ = entry.path.partition("/")
    return Sample(entry.path, label if slash and content.annotations is None else "", entry.size, entry.sha256)


async def find_content(
    context: Context, who: Principal, dataset_id: str, number: int | None, part: Part
) -> tuple[Version, Content]:
    """One part of a version, the current one where no number is given. Raises NotFound (`dataset_not_found`,
    `version_not_found`, `part_not_found`), Conflict (`dataset_empty`)."""
    _, version = await _version(context, who, dataset_id, number)
    return version, content_of(version, part)


async def _version(context: Context, who: Principal, dataset_id: str, number: int | None) -> tuple[Dataset, Version]:
    async with context.store.reading() as connection:
        dataset = await to_see(connection, who, dataset_id)
        if number is not None:
            return dataset, await storage.version_numbered(connection, dataset_id, number)
    if dataset.current is None:
        raise DatasetEmpty(dataset_id, [str(part) for part in dataset.missing_parts()])
    return dataset, dataset.current


def manifest_of(version: Version, part: Part) -> ManifestRef:
    """The files of one part of a version. Raises NotFound (`part_not_found`)."""
    return content_of(version, part).manifest


def content_of(version: Version, part: Part) -> Content:
    """One part of a version. Raises NotFound (`part_not_found`)."""
    content = version.train if part == Part.TRAIN else version.test
    if content is None:
        raise NotFound("part_not_found", f"Version {version.number} has no independent test set.")
    return content


def cursor_of(path: str) -> str:
    """What stands for a path in the address of a page."""
    return base64.urlsafe_b64encode(path.encode()).decode().rstrip("=")


def path_of(cursor: str | None) -> str:
    """The path at which a page begins. Raises BadRequest (`bad_cursor`)."""
    if cursor is None:
        return ""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise BadRequest("bad_cursor", _BAD_CURSOR) from error


def _start_of(cursor: str | None, number: int | None) -> Start:
    """Where a page begins: all pages of a list are of one version, whatever is imported meanwhile. Raises BadRequest
    (`bad_cursor`)."""
    if cursor is None:
        return Start(number)
    told, _, rest = path_of(cursor).partition(_BETWEEN)
    row, between, path = rest.partition(_BETWEEN)
    if not (between and _is_number(told) and _is_number(row)) or number not in (None, int(told)):
        raise BadRequest("bad_cursor", _BAD_CURSOR)
    return Start(int(told), path, int(row))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < _DIGITS
