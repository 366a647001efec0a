"""From a file brought by a stock client to formatted sets on a person's own disk, and to models trained on them (rows
D2 and D9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tusclient.client import TusClient

from tests.dataset_svc.sets.readers import read, rows
from tests.journeys.steps import EMBEDDED, PATIENCE, PROCESSES, online_images, preset, refused, succeeded, where
from tests.support.data import images_zip, packed
from tests.support.process import ENGINE
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
        client.uploader(file_stream=stream, chunk_size=5000, retries=10, metadata={"filename": "shapes.zip"}).upload()
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


COUNTS = """
import json, os, struct
from pathlib import Path
from typing import Any

data, validation = Path(os.environ["DATA_DIR"]), Path(os.environ["VALIDATION_DIR"])
[packed] = (data / "train").glob("*.rec")
left, records = packed.read_bytes(), 0
while left:
    magic, length = struct.unpack("<II", left[:8])
    assert magic == 0xCED7230A
    left, records = left[8 + (length + 3) // 4 * 4 :], records + 1
pictures = sum(path.suffix == ".png" for path in validation.rglob("*"))
told = {"records": records, "pictures": pictures, "validation": validation.relative_to(data).as_posix()}
(Path(os.environ["RESULT_DIR"]) / "evaluation.json").write_text(json.dumps(told))
"""


@pytest.mark.row("D9", "M5")
def test_row_d9_a_preset_trains_on_most_of_a_dataset_and_is_judged_by_the_rest(
    alice: Client, bob: Client, dataset: str
) -> None:
    most = alice.sets.wait(alice.sets.create(dataset, "raw", ratio=0.8, complement=True)["id"], timeout=PATIENCE)
    rest = alice.sets.wait(alice.sets.complement(most["id"])["id"], timeout=PATIENCE)
    chosen: Any = {"algorithm_id": preset(alice, "image-classifier")["id"], "formatted_set_id": most["id"]}
    offered = alice.jobs.create("offered", **chosen, start=False)
    assert rest["id"] in offered["note"]
    refused(lambda: bob.jobs.create("stolen", **chosen), 404, "formatted_set_not_found")
    job = alice.jobs.create("on most", **chosen, validation={"formatted_set_id": rest["id"]}, parameters={"epochs": 2})
    ended = succeeded(alice, job)
    assert ended["evaluation"]["samples"] == rest["records"] == 6
    assert rest["id"] not in ended["note"]
    lineage: Any = alice.models.show(ended["model_id"])["lineage"]
    assert most["manifest"] is not None
    assert (lineage["formatted_set_id"], lineage["formatted_set_digest"]) == (most["id"], most["manifest"]["digest"])
    assert (lineage["dataset_id"], lineage["dataset_digest"]) == (dataset, most["origin"]["digest"])
    assert lineage["validation"]["formatted_set_id"] == rest["id"]
    for item in (most, rest):
        alice.sets.delete(item["id"])


def _counting(alice: Client, folder: Path, name: str, purpose: str, formats: list[str], code: str) -> Any:
    """An online algorithm whose training is that code."""
    training = {"engine": ENGINE, "command": ["python", "train.py"]}
    described = {"name": name, "purpose": purpose, "formats": formats, "training": training}
    made = alice.algorithms.create(described)
    alice.algorithms.put_code(made["id"], "training", packed(folder / f"{name}.zip", {"train.py": code.encode()}))
    return alice.algorithms.online(made["id"])


@pytest.mark.row("D9", "T1")
def test_row_d9_records_of_one_dataset_train_and_pictures_of_another_validate(
    alice: Client, dataset: str, folder: Path
) -> None:
    algorithm = _counting(alice, folder, "counts records", "image/classification", ["dir", "recordio"], COUNTS)
    elsewhere = online_images(alice, folder, "elsewhere", each=4)
    most = alice.sets.wait(alice.sets.create(dataset, "recordio", ratio=0.8)["id"], timeout=PATIENCE)
    validation = {"dataset_id": elsewhere["id"]}
    chosen: Any = {"algorithm_id": algorithm["id"], "formatted_set_id": most["id"], "validation": validation}
    told = refused(lambda: alice.jobs.create("split", **chosen, ratio=0.5), 422, "invalid_job")
    assert where(told) == {"split"}
    ended = succeeded(alice, alice.jobs.create("counted", **chosen))
    assert ended["evaluation"] == {"records": most["records"], "pictures": 12, "validation": "val"}
    assert "'recordio'" in ended["note"]
    assert ended["validation"]["dataset"]["name"] == "elsewhere"
    alice.sets.delete(most["id"])


TEXTS = [f'{{"text": "你好 {n}", "entities": [{{"start": 0, "end": 2, "label": "问候{n % 2}"}}]}}' for n in range(40)]

COUNTS_TEXTS = """
import json, os
from pathlib import Path

data = Path(os.environ["DATA_DIR"])
told = {side: len(json.loads((data / side / "texts.json").read_text("utf-8"))) for side in ("train", "test")}
(Path(os.environ["RESULT_DIR"]) / "evaluation.json").write_text(json.dumps(told))
"""


@pytest.mark.row("D8", "D9")
def test_row_d9_one_list_of_texts_is_parted_for_a_job_and_made_records(
    alice: Client, folder: Path, tmp_path: Path
) -> None:
    made = alice.datasets.create("greetings", purpose="text/entity", annotation="entity", format="json")
    archive = packed(folder / "greetings.zip", {"texts.json": f"[{', '.join(TEXTS)}]".encode()})
    alice.datasets.import_(made["id"], archive, timeout=PATIENCE)
    dataset = alice.datasets.online(made["id"])
    algorithm = _counting(alice, folder, "counts texts", "text/entity", ["json"], COUNTS_TEXTS)
    job = alice.jobs.create("parted", algorithm_id=algorithm["id"], dataset_id=dataset["id"], ratio=0.8)
    assert succeeded(alice, job)["evaluation"] == {"train": 32, "test": 8}
    most = alice.sets.wait(alice.sets.create(dataset["id"], "parquet", ratio=0.8)["id"], timeout=PATIENCE)
    rest = alice.sets.wait(alice.sets.complement(most["id"])["id"], timeout=PATIENCE)
    found = [rows("parquet", alice.sets.download(item["id"], tmp_path / item["id"])) for item in (most, rest)]
    assert [len(side) for side in found] == [most["records"], rest["records"]] == [32, 8]
    assert sorted(text for side in found for *_, text in side) == sorted(f"你好 {n}" for n in range(40))
    for item in (most, rest):
        alice.sets.delete(item["id"])
