"""What people get wrong: each is a clear problem, and nothing is changed by it."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.steps import PATIENCE, online_images, preset, refused, where
from tests.support.algorithms import DEFINITION, slow_algorithm
from tests.support.data import texts_zip
from tests.support.process import PlatformProcess
from yard import Client

LONG = "长" * 101
CONTROL = "a\u0007b"


@pytest.fixture(scope="module")
def dataset(alice: Client, folder: Path) -> Any:
    return online_images(alice, folder)


@pytest.fixture(scope="module")
def algorithm(alice: Client, folder: Path) -> Any:
    return slow_algorithm(alice, folder)


def jobs_of(client: Client) -> int:
    return len(client.jobs.list(limit=1000))


@pytest.fixture
def nothing_changes(platform: PlatformProcess, alice: Client, dataset: Any, algorithm: Any) -> Iterator[None]:
    """No row of any service's database is another afterwards, no event was told, no file is kept."""
    before = platform.settled_facts()
    yield
    after = platform.settled_facts()
    assert [table for table in after if after[table] != before.get(table)] == []


def submit(alice: Client, algorithm: Any, dataset: Any, **more: Any) -> Any:
    """A job as JSON of our own making: the client would not send NaN."""
    body = {"name": "bad", "algorithm_id": algorithm["id"], "dataset_id": dataset["id"], **more}
    headers = {"Content-Type": "application/json"}
    return alice.http.send("POST", "jobs", content=json.dumps(body).encode(), headers=headers)


@pytest.mark.row("D8", "T1")
@pytest.mark.parametrize("ratio", [0, 1, 1.5, -0.2, float("nan"), float("inf")])
def test_a_ratio_that_leaves_a_part_empty(
    alice: Client, algorithm: Any, dataset: Any, nothing_changes: None, ratio: float
) -> None:
    problem = refused(lambda: submit(alice, algorithm, dataset, split={"ratio": ratio}), 422, "invalid_job")
    assert where(problem) == {"split.ratio"}


@pytest.mark.row("T1")
@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"epochs": 3}, "parameters.epochs"),
        ({"lines": "many"}, "parameters.lines"),
        ({"lines": 1.5}, "parameters.lines"),
        ({"lines": 0}, "parameters.lines"),
        ({"seconds": float("nan")}, "parameters.seconds"),
        ({"then": "explode"}, "parameters.then"),
    ],
)
def test_parameters_that_are_not_declared_or_not_allowed(
    alice: Client, algorithm: Any, dataset: Any, nothing_changes: None, parameters: Any, fault: str
) -> None:
    problem = refused(lambda: submit(alice, algorithm, dataset, parameters=parameters), 422, "invalid_job")
    assert where(problem) == {fault}


@pytest.mark.row("T1")
def test_everything_that_is_wrong_with_a_job_is_told_at_once(
    alice: Client, algorithm: Any, dataset: Any, nothing_changes: None
) -> None:
    problem = refused(
        lambda: submit(
            alice,
            algorithm,
            dataset,
            name=LONG,
            split={"ratio": 2},
            parameters={"unknown": 1},
            resources={"spec": "enormous"},
            time_limit_seconds=-1,
        ),
        422,
        "invalid_job",
    )
    expected = {"name", "split.ratio", "parameters.unknown", "resources.spec", "time_limit_seconds"}
    assert where(problem) == expected


@pytest.mark.row("T1")
def test_an_algorithm_for_another_purpose(alice: Client, dataset: Any, nothing_changes: None) -> None:
    other = preset(alice, "text-bayes")
    problem = refused(lambda: submit(alice, other, dataset), 422, "invalid_job")
    assert where(problem) == {"dataset_id"}


@pytest.mark.row("A1", "T1")
def test_an_algorithm_whose_formats_do_not_include_the_datasets(alice: Client, dataset: Any, folder: Path) -> None:
    picky = slow_algorithm(alice, folder, name="picky", formats=["json"])
    before = jobs_of(alice)
    problem = refused(lambda: submit(alice, picky, dataset), 422, "invalid_job")
    assert where(problem) == {"dataset_id"}
    assert "'dir'" in problem.faults[0].reason
    assert "json" in problem.faults[0].reason
    assert jobs_of(alice) == before


@pytest.mark.row("T9")
@pytest.mark.parametrize(
    "resources", [{"cpu": 100_000}, {"cpu": 1, "memory": "900Ti"}, {"cpu": 1, "nodes": 1000}], ids=str
)
def test_a_request_that_can_never_fit(
    alice: Client, algorithm: Any, dataset: Any, nothing_changes: None, resources: Any
) -> None:
    problem = refused(lambda: submit(alice, algorithm, dataset, resources=resources), 422, "never_fits")
    assert "never fit" in problem.detail


@pytest.mark.row("T9")
def test_an_accelerator_that_the_algorithm_does_not_use(
    alice: Client, algorithm: Any, dataset: Any, nothing_changes: None
) -> None:
    asked = {"accelerator": "gpu", "count": 1}
    problem = refused(lambda: submit(alice, algorithm, dataset, resources=asked), 422, "invalid_job")
    assert where(problem) == {"resources.accelerator"}


@pytest.mark.row("D6", "T1")
def test_what_is_offline_can_not_be_used(alice: Client, folder: Path, algorithm: Any, dataset: Any) -> None:
    before = jobs_of(alice)
    mine = online_images(alice, folder, "offline soon")
    offline = alice.datasets.offline(mine["id"])
    after = {"dataset_after": offline["version"]}
    refused(lambda: submit(alice, algorithm, mine, **after), 409, "dataset_offline")
    empty = alice.datasets.create("never filled", purpose="image/classification")
    refused(lambda: alice.datasets.online(empty["id"]), 409, "dataset_empty")
    draft = alice.algorithms.create(DEFINITION | {"name": "no code yet"})
    assert draft["state"] == "draft"
    refused(lambda: alice.algorithms.online(draft["id"]), 409, "algorithm_incomplete")
    refused(lambda: submit(alice, {"id": "algo-none"}, dataset), 404, "algorithm_not_found")
    refused(lambda: submit(alice, algorithm, {"id": "ds-none"}), 404, "dataset_not_found")
    assert jobs_of(alice) == before


@pytest.mark.row("T10")
@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": LONG}, "name"),
        ({"name": CONTROL}, "name"),
        ({"name": "fine", "description": "述" * 256}, "description"),
    ],
    ids=["empty", "blank", "long", "control", "description"],
)
def test_names_and_descriptions_everywhere(
    alice: Client, algorithm: Any, dataset: Any, nothing_changes: None, given: Any, fault: str
) -> None:
    more = {"description": given.get("description", "")}
    makes = {
        "dataset": lambda: alice.datasets.create(given["name"], purpose="image/classification", **more),
        "algorithm": lambda: alice.algorithms.create(DEFINITION | given),
        "job": lambda: submit(alice, algorithm, dataset, **given),
    }
    for kind, make in makes.items():
        assert where(refused(make, 422, f"invalid_{kind}")) == {fault}, kind
    patched = {"name": given["name"], **more}
    problem = refused(lambda: alice.datasets.edit(dataset["id"], **patched), 422, "invalid_dataset")
    assert where(problem) == {fault}


@pytest.mark.row("T10")
def test_names_that_are_fine(alice: Client) -> None:
    for name in ("数据集 第一版", "a" * 100, "same", "same", "emoji 🙂"):
        made = alice.datasets.create(name, purpose="image/classification", description="描" * 255)
        assert made["name"] == name
        alice.datasets.delete(made["id"])


@pytest.mark.row("D1")
def test_kinds_that_do_not_exist(alice: Client, nothing_changes: None) -> None:
    body = {"name": "x", "purpose": "sound/music", "annotation": "tags", "format": "xml", "test_mode": "never"}
    problem = refused(lambda: alice.http.create("datasets", body), 422, "invalid_dataset")
    assert where(problem) == {"purpose", "annotation", "format", "test_mode"}
    refused(lambda: alice.algorithms.create(DEFINITION | {"purpose": "sound/music"}), 422, "unknown_purpose")
    unknown = DEFINITION | {"training": DEFINITION["training"] | {"engine": "abacus-1"}}
    refused(lambda: alice.algorithms.create(unknown), 422, "engine_not_found")


@pytest.mark.row("P1")
def test_bodies_that_are_no_bodies(alice: Client, nothing_changes: None) -> None:
    headers = {"Content-Type": "application/json"}
    for content in (b"{", b"[]", b'"text"', b"\xff\xfe", b"null"):
        for at in ("datasets", "algorithms", "jobs"):
            send = partial(alice.http.send, "POST", at, content=content, headers=headers)
            refused(send, 422, "invalid_request")
    problem = refused(
        lambda: alice.http.create("datasets", {"name": "x", "purpose": "image/classification", "nam": 1}),
        422,
        "invalid_request",
    )
    assert where(problem) == {"body.nam"}


@pytest.mark.row("P1")
def test_the_same_key_for_another_request(alice: Client) -> None:
    made = alice.datasets.create("once", purpose="image/classification", key="only-once")
    again = alice.datasets.create("once", purpose="image/classification", key="only-once")
    assert again["id"] == made["id"]
    refused(
        lambda: alice.datasets.create("twice", purpose="image/classification", key="only-once"),
        422,
        "idempotency_key_reused",
    )
    assert len(list(alice.datasets.each(q="once"))) == 1
    alice.datasets.delete(made["id"])


@pytest.mark.row("D1", "D2")
def test_a_test_set_where_there_is_none(alice: Client, dataset: Any, folder: Path) -> None:
    archive = texts_zip(folder / "texts.zip", 2)
    refused(
        lambda: alice.datasets.import_(dataset["id"], archive, part="test", timeout=PATIENCE),
        409,
        "no_independent_test_set",
    )
