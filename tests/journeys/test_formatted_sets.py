"""From a file brought by a stock client to formatted sets on a person's own disk (rows D2 and D9)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tusclient.client import TusClient

from tests.dataset_svc.sets.readers import read
from tests.journeys.steps import EMBEDDED, PATIENCE, PROCESSES
from tests.support.data import images_zip
from yard import Client

ON = (EMBEDDED, PROCESSES)


@pytest.fixture(scope="module")
def dataset(alice: Client, folder: Path) -> str:
    """Brought by the protocol of resumable uploads, through the gateway."""
    made = alice.datasets.create("shapes", purpose="image/classification")
    archive = images_zip(folder / "shapes.zip", 10)
    headers = {"Authorization": f"Bearer {alice.api_keys.create('tus')['key']}"}
    client = TusClient(f"{alice.address}/api/v1/datasets/{made['id']}/tus", headers=headers)
    with archive.open("rb") as stream:
        client.uploader(file_stream=stream, chunk_size=5000, metadata={"filename": "shapes.zip"}).upload()
    [begun] = alice.datasets.imports(made["id"])
    alice.datasets.wait_import(made["id"], begun["id"], timeout=PATIENCE)
    return made["id"]


@pytest.mark.row("D2", "D9")
@pytest.mark.parametrize("format", ["raw", "lmdb", "parquet"])
def test_a_set_and_its_complement_come_home(alice: Client, dataset: str, format: str, tmp_path: Path) -> None:
    ordered = alice.sets.create(dataset, format, ratio=0.8, complement=True)
    most = alice.sets.wait(ordered["id"], timeout=PATIENCE)
    rest = alice.sets.wait(alice.sets.complement(most["id"])["id"], timeout=PATIENCE)
    assert most["records"] == 4 * rest["records"]
    found: dict[str, bytes] = {}
    for item in (most, rest):
        folder = alice.sets.download(item["id"], tmp_path / item["id"])
        if format == "raw":
            files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.png")}
        else:
            files = {path: data for path, _, data in read(format, folder, "image")}
        assert len(files) == item["records"]
        assert not files.keys() & found.keys()
        found |= files
    samples = {sample["path"] for sample in alice.datasets.samples(dataset, limit=500)}
    assert found.keys() == samples
    alice.sets.delete(most["id"])
    alice.sets.delete(rest["id"])
    assert alice.sets.list(state="ready") == []
