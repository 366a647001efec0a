"""Putting an import's files into the store, where the import is cancelled."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from common.contracts.shared import ManifestRef
from common.files.local import LocalFiles
from common.manifests import PackWriter, share, store
from dataset_svc.domain.versions import Content
from dataset_svc.importing import ImportResult
from dataset_svc.importing.report import Report
from dataset_svc.reconcile import keeping
from tests.dataset_svc.reconcile.gates import Gate


@pytest.mark.row("D2")
async def test_who_is_cancelled_waits_until_the_folder_is_filled_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()

    def slow(*what: Any, **how: Any) -> Any:
        gate.pass_through()
        return share(*what, **how)

    monkeypatch.setattr("common.manifests.share", slow)
    files = LocalFiles(tmp_path / "files")
    try:
        current = await first(files, tmp_path)
        keep = keeping.keep(files, packed(tmp_path / "new", b"2"), [], "imp-2", "new", current=current)
        await gate.cancelled_inside(asyncio.create_task(keep))
        assert not [info async for info in files.list("new/")]
    finally:
        await files.close()


async def first(files: LocalFiles, folder: Path) -> Content:
    result = packed(folder / "old", b"1")
    assert result.packed is not None
    manifest: ManifestRef = await store(files, result.packed, "old")
    return Content("imp-1", manifest, {}, {}, ())


def packed(folder: Path, data: bytes) -> ImportResult:
    writer = PackWriter(folder)
    writer.add_bytes("a", data)
    return ImportResult(Report(), writer.finish())
