"""How many files two datasets share, counted from their lists: the same picture under another name is the same file."""

from __future__ import annotations

from dataclasses import replace

import structlog

from common import manifests
from common.contracts.shared import ManifestRef
from common.kernel.errors import Problem
from common.ports.files import Files
from train_svc.domain.request import Used

log = structlog.get_logger("overlap")

MOST_FILES = 50_000
"""Files of both lists together beyond which nobody waits for a count."""


async def counted(files: Files, used: Used) -> Used:
    """With the number of files to validate on that are also among those to train on, where only a count can tell: of
    what is cut from the same files the cuts tell, and of records their lists don't. A list that can't be read now is
    not worth a refusal."""
    if used.validation is None or used.data.of_records or used.validation.of_records:
        return used
    train, other = used.data.manifest, used.validation.manifest
    one, two = used.data.cut(), used.validation.cut()
    if train is None or other is None or one is None or two is None or one.content == two.content:
        return used
    if train.files + other.files > MOST_FILES:
        return used
    try:
        known = set(await _digests(files, train))
        return replace(used, shared=sum(digest in known for digest in await _digests(files, other)))
    except Problem as problem:
        log.warning("files in common could not be counted", code=problem.code, reason=problem.detail)
        return used


async def _digests(files: Files, ref: ManifestRef) -> list[str]:
    return [entry.sha256 async for entry in manifests.read(files, ref)]
