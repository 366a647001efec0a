"""Looking into a version: its files page by page and class by class, and the bytes of one (row D5)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common import manifests
from common.contracts.shared import ManifestRef
from common.kernel.errors import BadRequest, NotFound
from common.manifests import Entry
from common.web.downloads import Place
from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.errors import DatasetEmpty
from dataset_svc.domain.taxonomy import Part
from dataset_svc.domain.versions import Content, Sample, Version
from dataset_svc.usecases import annotated, finding
from dataset_svc.usecases.access import to_see
from dataset_svc.usecases.finding import Wanted


@dataclass(frozen=True)
class SamplePage:
    """Some samples of one part of one version; `next_cursor` is None at the end. `annotations` says by path what is
    annotated in them, as the format's checker gave it."""

    version: int
    part: Part
    items: Sequence[Sample]
    next_cursor: str | None
    annotations: Mapping[str, Any]


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
    whatever its case. Raises NotFound, Conflict (`dataset_empty`)."""
    version = await _version(context, who, dataset_id, number)
    content = content_of(version, part)
    wanted = Wanted(part_of_name.strip(), path_of(cursor), limit + 1)
    drawn: dict[str, Any] = {}
    if content.annotations is None:
        found = await finding.entries(context, content.manifest, f"{label}/" if label else "", wanted)
    elif label is None:
        found = await finding.entries(context, content.manifest, "", wanted)
        drawn = await annotated.of(context.files, content.annotations, [entry.path for entry in found[:limit]])
    else:
        found = await finding.with_class(context, content, label, wanted)
        drawn = await annotated.of(context.files, content.annotations, [entry.path for entry in found[:limit]])
    more = cursor_of(found[limit].path) if len(found) > limit else None
    samples = [sample_of(entry, content) for entry in found[:limit]]
    return SamplePage(version.number, part, samples, more, drawn)


async def place_of_sample(
    context: Context, who: Principal, dataset_id: str, path: str, *, number: int | None, part: Part
) -> Place:
    """Where one file is. Raises NotFound (`file_not_found`, `version_not_found`), Conflict (`dataset_empty`)."""
    manifest = manifest_of(await _version(context, who, dataset_id, number), part)
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
    version = await _version(context, who, dataset_id, number)
    return version, content_of(version, part)


async def _version(context: Context, who: Principal, dataset_id: str, number: int | None) -> Version:
    async with context.store.reading() as connection:
        dataset = await to_see(connection, who, dataset_id)
        if number is not None:
            return await storage.version_numbered(connection, dataset_id, number)
    if dataset.current is None:
        raise DatasetEmpty(dataset_id, [str(part) for part in dataset.missing_parts()])
    return dataset.current


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
        raise BadRequest("bad_cursor", "The cursor is not one that a list gave. Start without it.") from error
