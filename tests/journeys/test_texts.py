"""The same for Chinese texts, with an independent test set."""

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
from tests.support.data import TOPICS, text, texts_zip
from yard import Client

ON = (EMBEDDED, PROCESSES, DOCKER, COMPOSE)
EACH = 40


@pytest.fixture(scope="module")
def dataset(alice: Client, folder: Path) -> Any:
    made = alice.datasets.create("新闻", purpose="text/classification", test_mode="independent")
    train, test = texts_zip(folder / "train.zip", EACH), texts_zip(folder / "test.zip", 5)
    alice.datasets.import_(made["id"], train, timeout=PATIENCE)
    refused(lambda: alice.datasets.online(made["id"]), 409, "dataset_empty")
    alice.datasets.import_(made["id"], test, part="test", timeout=PATIENCE)
    return alice.datasets.online(made["id"])


@pytest.fixture(scope="module")
def trained(alice: Client, dataset: Any) -> Any:
    algorithm = preset(alice, "text-bayes")
    made = alice.jobs.create("贝叶斯", algorithm_id=algorithm["id"], dataset_id=dataset["id"], ratio=None, start=False)
    assert (made["state"], made["attempt"]) == ("draft", 0)
    alice.jobs.edit(made["id"], name="贝叶斯分类", parameters={"epochs": 2, "ngram_max": 2})
    alice.jobs.start(made["id"])
    return succeeded(alice, made)


@pytest.mark.row("A9", "D1", "D8", "T2", "T3", "T4")
def test_a_draft_is_edited_started_and_judged_on_the_test_set(trained: Any) -> None:
    assert trained["name"] == "贝叶斯分类"
    assert trained["parameters"]["ngram_max"] == 2
    assert trained["evaluation"]["samples"] == 5 * len(TOPICS)
    assert trained["evaluation"]["accuracy"] > 0.9


@pytest.mark.row("A9", "S6", "S10")
def test_the_service_classifies_chinese(alice: Client, trained: Any) -> None:
    service = started(alice, published(alice, trained, "新闻分类"), 1)
    for topic in TOPICS:
        assert topic in alice.services.call(service, {"text": text(topic, 777)}).text
    assert alice.services.test(service["id"])["status"] == 200
    tested = alice.services.test(service["id"], {"text": "股票市场"})
    assert "财经" in str(tested["response"])
    stopped(alice, service)
    alice.services.delete(service["id"])
