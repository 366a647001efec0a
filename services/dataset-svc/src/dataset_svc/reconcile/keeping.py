"""Putting what an import brought into the file store: the files, what is annotated in them, and a few to look at."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from common import manifests
from common.contracts.shared import ManifestRef
from common.disk import telling_when_full
from common.kernel.errors import Problem
from common.manifests import Packed
from common.ports.files import Files
from common.threads import to_the_end
from dataset_svc.domain.versions import Content, Sample
from dataset_svc.importing import ImportResult
from dataset_svc.importing.annotated import FOLDER

log = structlog.get_logger("imports")

_PREVIEWED_CLASSES = 8
_PREVIEWED_EACH = 2


async def keep(
    files: Files,
    result: ImportResult,
    earlier: Sequence[Content],
    import_id: str,
    prefix: str,
    *,
    current: Content | None = None,
    pack_bytes: int = manifests.PACK_BYTES,
) -> Content:
    """The files of an import that went well, stored below `prefix`, unless one of the dataset's earlier contents is the
    same: it is stored once. Of another only those files are stored that `current`, that part of the newest version,
    has not, whatever they are called; it goes when its dataset goes, and never before."""
    assert result.packed is not None
    digest = result.packed.digest
    known = next((content for content in earlier if content.digest == digest), None)
    manifest = known.manifest if known else await _put_new(files, result.packed, prefix, current, pack_bytes)
    annotations, noted = (known.annotations, known.noted) if known else (None, False)
    if not known and result.annotations is not None:
        annotations, noted = await _put(files, result.annotations, f"{prefix}/{FOLDER}"), True
    summary = dict(result.report.summary)
    classes = {str(name): int(count) for name, count in summary.pop("classes", {}).items()}
    prefixes = [""] if annotations else [f"{label}/" for label in classes]
    preview = await _preview(files, manifest, prefixes, labelled=annotations is None)
    return Content(import_id, manifest, classes, summary, preview, annotations, noted)


async def _put_new(files: Files, packed: Packed, prefix: str, current: Content | None, pack_bytes: int) -> ManifestRef:
    """Store packs without what the current version has."""
    if current is None:
        return await _put(files, packed, prefix)
    await asyncio.to_thread(_take_over, packed)
    try:
        with telling_when_full("the files that are new"):
            earlier = await manifests.local_index(files, current.manifest, packed.folder / "earlier")
            folder = packed.folder / "shared"
            with ThreadPoolExecutor(1, "share") as one:  # it fills a folder that whoever is cancelled removes
                shared = await to_the_end(one, manifests.share, packed, earlier, folder, pack_bytes=pack_bytes)
    except Problem as problem:
        if problem.code not in ("manifest_corrupt", "file_not_found"):
            raise
        log.warning("the current version can't be shared with", address=current.manifest.address, reason=problem.detail)
        return await manifests.store(files, packed, prefix)
    return await manifests.store(files, shared.packed, prefix, before=shared.before)


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
