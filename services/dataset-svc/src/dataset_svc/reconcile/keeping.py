"""Putting what an import brought into the file store: the files, what is annotated in them, and a few to look at."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from common import manifests
from common.contracts.shared import ManifestRef
from common.manifests import Packed
from common.ports.files import Files
from dataset_svc.domain.versions import Content, Sample
from dataset_svc.importing import ImportResult
from dataset_svc.importing.annotated import FOLDER

_PREVIEWED_CLASSES = 8
_PREVIEWED_EACH = 2


async def keep(files: Files, result: ImportResult, earlier: Sequence[Content], import_id: str, prefix: str) -> Content:
    """The files of an import that went well, stored below `prefix`, unless one of the dataset's earlier contents is the
    same: it is stored once."""
    assert result.packed is not None
    digest = result.packed.digest
    known = next((content for content in earlier if content.digest == digest), None)
    manifest = known.manifest if known else await _put(files, result.packed, prefix)
    annotations = known.annotations if known else None
    if not known and result.annotations is not None:
        annotations = await _put(files, result.annotations, f"{prefix}/{FOLDER}")
    summary = dict(result.report.summary)
    classes = {str(name): int(count) for name, count in summary.pop("classes", {}).items()}
    prefixes = [""] if annotations else [f"{label}/" for label in classes]
    preview = await _preview(files, manifest, prefixes, labelled=annotations is None)
    return Content(import_id, manifest, classes, summary, preview, annotations)


async def _put(files: Files, packed: Packed, prefix: str) -> ManifestRef:
    await asyncio.to_thread(_take_over, packed)
    return await manifests.store(files, packed, prefix)


async def _preview(
    files: Files, manifest: ManifestRef, prefixes: Sequence[str], *, labelled: bool
) -> tuple[Sample, ...]:
    """The first files with each of the first prefixes; as many in all where there is but one."""
    each = _PREVIEWED_EACH if labelled else _PREVIEWED_EACH * _PREVIEWED_CLASSES
    found: list[Sample] = []
    for prefix in prefixes[:_PREVIEWED_CLASSES]:
        taken = 0
        async for entry in manifests.entries_from(files, manifest, prefix):
            if taken == each or not entry.path.startswith(prefix):
                break
            found.append(Sample(entry.path, prefix.removesuffix("/"), entry.size, entry.sha256))
            taken += 1
    return tuple(found)


def _take_over(packed: Packed) -> None:
    """What the child wrote as a user of its own becomes the platform's, so that nobody else can change it."""
    uid, gid = os.geteuid(), os.getegid()
    for path in (*packed.objects, packed.body):
        if path.exists() and path.stat().st_uid != uid:
            os.chown(path, uid, gid, follow_symlinks=False)
