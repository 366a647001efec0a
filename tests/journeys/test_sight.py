"""What is private is nobody else's, what is public can be used: two people on one platform."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.steps import (
    EMBEDDED,
    PATIENCE,
    PROCESSES,
    online_images,
    published,
    refused,
    started,
    stopped,
    succeeded,
)
from tests.support.algorithms import slow_algorithm
from tests.support.process import Gate, until
from yard import Client

ON = (EMBEDDED, PROCESSES)


@pytest.fixture(scope="module")
def dataset(alice: Client, folder: Path) -> Any:
    return online_images(alice, folder)


@pytest.fixture(scope="module")
def algorithm(alice: Client, folder: Path) -> Any:
    return slow_algorithm(alice, folder)


@pytest.fixture(scope="module")
def trained(alice: Client, dataset: Any, algorithm: Any) -> Any:
    made = alice.jobs.create("hers", algorithm_id=algorithm["id"], dataset_id=dataset["id"])
    return succeeded(alice, made)


@pytest.mark.row("D7", "A8", "P3")
def test_a_private_thing_is_not_there_for_others(
    alice: Client, bob: Client, dataset: Any, algorithm: Any, trained: Any
) -> None:
    for group, item, code in (
        (bob.datasets, dataset["id"], "dataset_not_found"),
        (bob.algorithms, algorithm["id"], "algorithm_not_found"),
        (bob.jobs, trained["id"], "job_not_found"),
        (bob.models, trained["model_id"], "model_not_found"),
    ):
        told = refused(partial(group.show, item), 404, code)
        absent = refused(partial(group.show, item[:-1] + "0"), 404, code)
        assert told.detail.replace(item, "X") == absent.detail.replace(item[:-1] + "0", "X")
        assert item not in [one["id"] for one in group.each()]
        refused(partial(group.delete, item), 404, code)
    refused(lambda: bob.datasets.samples(dataset["id"]), 404, "dataset_not_found")
    refused(lambda: bob.jobs.log(trained["id"]), 404, "job_not_found")
    refused(lambda: bob.jobs.results(trained["id"]), 404, "job_not_found")
    refused(lambda: bob.models.publish(trained["model_id"], "stolen"), 404, "model_not_found")
    mine = {"algorithm_id": algorithm["id"], "dataset_id": dataset["id"]}
    refused(lambda: bob.jobs.create("with hers", **mine), 404, "algorithm_not_found")


@pytest.mark.row("D7", "D10", "A8", "T1")
def test_a_public_thing_can_be_used_but_not_changed(alice: Client, bob: Client, admin: Client, folder: Path) -> None:
    dataset = online_images(alice, folder, "for everybody")
    algorithm = slow_algorithm(alice, folder, name="for everybody")
    shared = alice.datasets.visibility(dataset["id"], "public")
    useful = alice.algorithms.visibility(algorithm["id"], "public")
    assert dataset["id"] in [one["id"] for one in bob.datasets.each()]
    assert bob.datasets.samples(dataset["id"])
    refused(lambda: bob.datasets.edit(dataset["id"], name="mine"), 403, "not_owner")
    refused(lambda: bob.datasets.offline(dataset["id"]), 403, "not_owner")
    refused(lambda: bob.algorithms.edit(algorithm["id"], name="mine"), 403, "not_owner")
    refused(lambda: bob.datasets.imports(dataset["id"]), 403, "not_owner")
    refused(lambda: alice.datasets.visibility(dataset["id"], "preset"), 403, "admin_only")
    his = bob.jobs.create(
        "with hers",
        algorithm_id=algorithm["id"],
        dataset_id=dataset["id"],
        dataset_after=shared["version"],
        algorithm_after=useful["version"],
    )
    done = succeeded(bob, his)
    refused(lambda: alice.jobs.show(his["id"]), 404, "job_not_found")
    assert admin.jobs.show(his["id"])["owner"] == his["owner"]
    hidden = alice.datasets.visibility(dataset["id"], "private")
    assert hidden["visibility"] == "private"
    refused(lambda: bob.datasets.show(dataset["id"]), 404, "dataset_not_found")
    again = {"algorithm_id": algorithm["id"], "dataset_id": dataset["id"], "dataset_after": hidden["version"]}
    refused(lambda: bob.jobs.create("no more", **again), 404, "dataset_not_found")
    assert bob.models.lineage(done["model_id"])["lineage"]["dataset_name"] == "for everybody"
    preset = admin.datasets.visibility(dataset["id"], "preset")
    assert preset["visibility"] == "preset"
    until(lambda: dataset["id"] in [one["id"] for one in bob.datasets.each(visibility="preset")], PATIENCE)


@pytest.mark.row("S7", "P3")
def test_a_private_service_answers_its_owner_only(platform: Gate, alice: Client, bob: Client, trained: Any) -> None:
    service = started(alice, published(alice, trained), 1)
    assert alice.services.call(service, {"text": "hi"}).json()["asked"] == {"text": "hi"}
    refused(lambda: bob.services.show(service["id"]), 404, "service_not_found")
    refused(lambda: bob.services.call(service, {"text": "hi"}), 404, "service_not_found")
    with platform.client() as nobody:
        refused(lambda: nobody.services.call(service, {"text": "hi"}), 401, "no_token")
        refused(lambda: nobody.jobs.list(), 401, "no_token")
    key = alice.api_keys.create("program")
    with alice.acting(api_key=key["key"]) as program:
        assert program.services.call(service, {"text": "hi"}).status_code == 200
        alice.api_keys.delete(key["id"])
        refused(lambda: program.services.call(service, {"text": "hi"}), 401, "bad_token")
    stopped(alice, service)


@pytest.mark.row("P3")
def test_users_are_the_administrators_business(admin: Client, alice: Client, platform: Gate) -> None:
    refused(lambda: alice.users.create("mallory", "some-long-password"), 403, "admin_only")
    refused(lambda: alice.users.list(), 403, "admin_only")
    made = admin.users.create("carol", "carol-password-for-tests")
    with platform.client() as carol:
        refused(lambda: carol.login("carol", "wrong"), 401, "bad_login")
        carol.login("carol", "carol-password-for-tests")
        assert carol.users.me()["id"] == made["id"]
        admin.http.act(f"users/{made['id']}/disable")
        assert refused(lambda: carol.jobs.list(), 401, "bad_token")
        refused(lambda: carol.login("carol", "carol-password-for-tests"), 401, "bad_login")
