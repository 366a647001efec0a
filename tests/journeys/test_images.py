"""The main job: an image folder becomes a dataset, a model and a service that answers."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.steps import (
    COMPOSE,
    DOCKER,
    EMBEDDED,
    PATIENCE,
    PROCESSES,
    preset,
    published,
    refused,
    started,
    stopped,
    succeeded,
)
from tests.support.data import CLASSES, images_zip, picture
from tests.support.process import Gate, until
from yard import Client, YardError

ON = (EMBEDDED, PROCESSES, DOCKER, COMPOSE)
EACH = 30
EPOCHS = 8


@pytest.fixture(scope="module")
def archive(folder: Path) -> Path:
    return images_zip(folder / "pictures.zip", EACH)


@pytest.fixture(scope="module")
def dataset(alice: Client, archive: Path) -> Any:
    made = alice.datasets.create("图片", purpose="image/classification", description="圆、条纹和网格")
    sent: list[tuple[int, int]] = []
    begun = alice.datasets.upload(made["id"], archive, progress=lambda done, of: sent.append((done, of)))
    assert sent[-1] == (archive.stat().st_size, archive.stat().st_size)
    seen: list[Any] = []
    ended = alice.datasets.wait_import(made["id"], begun["id"], progress=seen.append, timeout=PATIENCE)
    assert (ended["progress"], ended["files_done"], ended["version_number"]) == (1.0, EACH * len(CLASSES), 1)
    assert [one["progress"] for one in seen] == sorted(one["progress"] for one in seen)
    return alice.datasets.online(made["id"])


@pytest.fixture(scope="module")
def job(alice: Client, dataset: Any) -> Any:
    algorithm = preset(alice, "image-classifier")
    made = alice.jobs.create(
        "第一次",
        algorithm_id=algorithm["id"],
        dataset_id=dataset["id"],
        dataset_after=dataset["version"],
        ratio=0.8,
        parameters={"epochs": EPOCHS},
        resources={"spec": "small"},
    )
    assert made["state"] in ("queued", "preparing")
    return made


@pytest.fixture(scope="module")
def followed(alice: Client, job: Any) -> tuple[str, list[dict[str, Any]]]:
    """Log and metrics as they came over the live streams, which end with the attempt."""
    points = list(alice.jobs.follow_metrics(job["id"]))
    return "".join(alice.jobs.follow_log(job["id"])), points


@pytest.fixture(scope="module")
def trained(alice: Client, job: Any, followed: Any) -> Any:
    return succeeded(alice, job)


@pytest.fixture(scope="module")
def model(alice: Client, trained: Any) -> Any:
    return alice.models.show(trained["model_id"])


@pytest.fixture(scope="module")
def service(alice: Client, trained: Any) -> Any:
    made = published(alice, trained, "图片分类")
    assert (made["state"], made["replicas"], made["ready"]) == ("stopped", 0, 0)
    return started(alice, made, 2)


@pytest.mark.row("D1", "D2", "D5", "D6", "D12")
def test_the_dataset_is_a_version_of_what_was_brought(alice: Client, dataset: Any, archive: Path) -> None:
    assert (dataset["state"], dataset["online"], dataset["name"]) == ("online", True, "图片")
    version = alice.datasets.version(dataset["id"], 1)
    assert version["classes"] == dict.fromkeys(CLASSES, EACH)
    assert version["files"] == EACH * len(CLASSES)
    [sample] = alice.datasets.samples(dataset["id"], class_="网格", limit=1)
    assert alice.datasets.sample(dataset["id"], sample["path"]) == picture("网格", 0)
    assert hashlib.sha256(picture("网格", 0)).hexdigest() == sample["sha256"]


@pytest.mark.row("T1", "T5", "T11", "T12")
def test_log_and_curves_come_live_and_stay(alice: Client, job: Any, followed: Any, trained: Any) -> None:
    text, points = followed
    assert [point["step"] for point in points if "accuracy" in point] == list(range(1, EPOCHS + 1))
    assert text == alice.jobs.log(job["id"])["text"]
    assert f"epoch {EPOCHS}/{EPOCHS}" in text
    series = alice.jobs.metrics(job["id"])["series"]
    assert [step for step, _ in series["accuracy"]] == list(range(1, EPOCHS + 1))
    assert {"accuracy", "loss", "learning_rate"} <= series.keys()


@pytest.mark.row("D8", "T2", "T5")
def test_the_evaluation_is_of_the_held_out_part(trained: Any) -> None:
    judged = trained["evaluation"]
    assert judged["samples"] == round(0.2 * EACH) * len(CLASSES)
    assert judged["accuracy"] > 0.9
    assert trained["split"] == {"ratio": 0.8, "seed": 0}


@pytest.mark.row("T17")
def test_results_come_one_by_one_and_as_a_zip(alice: Client, job: Any, trained: Any, folder: Path) -> None:
    files = {one["path"]: one for one in alice.jobs.results(job["id"])}
    assert "evaluation.json" in files
    one = alice.jobs.download(job["id"], folder / "evaluation.json", path="evaluation.json")
    assert json.loads(one.read_bytes())["accuracy"] == trained["evaluation"]["accuracy"]
    whole = alice.jobs.download(job["id"], folder / "results.zip")
    with zipfile.ZipFile(whole) as packed:
        digests = {name: hashlib.sha256(packed.read(name)).hexdigest() for name in packed.namelist()}
    assert digests == {path: one["sha256"] for path, one in files.items()}


@pytest.mark.row("M1", "M3", "M5", "M6")
def test_the_model_knows_where_it_comes_from(alice: Client, model: Any, trained: Any, dataset: Any) -> None:
    lineage = alice.models.lineage(model["id"])["lineage"]
    assert (lineage["job_id"], lineage["attempt"]) == (trained["id"], 1)
    assert (lineage["dataset_id"], lineage["dataset_version"]) == (dataset["id"], 1)
    assert lineage["dataset_digest"] == dataset["current_version"]["digest"]
    assert lineage["parameters"]["epochs"] == EPOCHS
    assert model["purpose"] == "image/classification"
    assert {one["path"] for one in alice.models.files(model["id"])}


@pytest.mark.row("M3")
def test_the_model_can_be_downloaded(alice: Client, model: Any, folder: Path) -> None:
    whole = alice.models.download(model["id"], folder / "model.zip")
    with zipfile.ZipFile(io.BytesIO(whole.read_bytes())) as packed:
        assert {one["path"] for one in alice.models.files(model["id"])} == set(packed.namelist())


@pytest.mark.row("M4", "S1", "S6", "S9", "S12", "S13")
def test_the_service_answers_from_both_replicas(
    alice: Client, service: Any, model: Any, trained: Any, platform: Gate
) -> None:
    assert (service["model_id"], service["job_id"]) == (model["id"], trained["id"])
    assert service["address"].rstrip("/").endswith(f"/serve/{service['id']}")
    for label in CLASSES:
        answer = alice.services.call(service, {"image": picture(label, 999)})
        assert label in answer.text
    assert model["id"] in [one["id"] for one in alice.models.each()]
    assert alice.models.show(model["id"])["services"] == [service["id"]]
    replicas = alice.services.replicas(service["id"])
    assert len([one for one in replicas if one["ready"]]) == 2


@pytest.mark.row("S6", "S7", "S8", "S10")
def test_scale_stop_and_start_again(alice: Client, service: Any) -> None:
    wider = alice.services.scale(service["id"], 3)
    assert wider["replicas"] == 3
    assert alice.services.wait(service["id"], ready=3, timeout=PATIENCE)["state"] == "running"
    still = stopped(alice, service)
    assert (still["replicas"], still["address"]) == (0, service["address"])
    problem = refused(lambda: alice.services.call(service, {"image": picture("stripes", 1)}), 503, "service_stopped")
    assert service["id"] in problem.detail
    refused(lambda: alice.services.test(service["id"]), 503, "service_stopped")
    started(alice, service, 1)
    answer = alice.services.test(service["id"])
    assert answer["status"] == 200
    assert answer["latency_ms"] > 0
    stopped(alice, service)


@pytest.mark.row("S4", "S5")
def test_a_service_is_edited_and_deleted(alice: Client, trained: Any) -> None:
    made = published(alice, trained, "short-lived")
    changed = alice.services.edit(made["id"], name="短暂", description="will go")
    assert (changed["name"], changed["description"]) == ("短暂", "will go")
    alice.services.delete(made["id"])
    refused(lambda: alice.services.show(made["id"]), 404, "service_not_found")
    until(lambda: code_of(lambda: alice.services.call(made, {"image": b"x"})) == "service_not_found", PATIENCE)


def code_of(do: Callable[[], Any]) -> str:
    with pytest.raises(YardError) as told:
        do()
    return told.value.code
