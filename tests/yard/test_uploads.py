"""Uploads that go on where they stopped, waiting for imports, downloads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.yard.stub import Stub
from yard import Client, YardError


@pytest.fixture
def dataset(client: Client) -> str:
    return client.datasets.create("digits", purpose="image/classification")["id"]


@pytest.mark.row("D2")
def test_an_upload_arrives_whole_with_progress(client: Client, stub: Stub, dataset: str, archive: Path) -> None:
    told: list[tuple[int, int]] = []
    begun = client.datasets.upload(dataset, archive, progress=lambda done, total: told.append((done, total)))
    assert begun["state"] == "queued"
    assert told == [(1000, 3500), (2000, 3500), (3000, 3500), (3500, 3500)]
    [parts] = stub.parts.values()
    assert b"".join(parts[number] for number in sorted(parts)) == archive.read_bytes()


@pytest.mark.row("D2")
def test_an_upload_that_broke_off_goes_on_where_it_stopped(
    client: Client, stub: Stub, dataset: str, tmp_path: Path
) -> None:
    (archive := tmp_path / "long.zip").write_bytes(os.urandom(20_000))

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        if done == 2000:
            raise Killed

    with pytest.raises(Killed):
        client.datasets.upload(dataset, archive, progress=kill)
    before, [arrived] = len(stub.calls("PUT")), map(set, stub.parts.values())
    assert arrived >= {1, 2}
    client.datasets.upload(dataset, archive)
    sent_after = {int(one.path.rsplit("/", 1)[1]) for one in stub.calls("PUT")[before:]}
    assert sent_after == set(range(1, 21)) - arrived != set()
    assert len(stub.parts) == 1


@pytest.mark.row("D2")
def test_a_part_that_holds_something_else_by_now_is_sent_again(
    client: Client, stub: Stub, dataset: str, archive: Path
) -> None:
    begun = client.datasets.upload
    stub.break_at("POST", "/complete$", times=99, before=True)
    with pytest.raises(YardError):
        begun(dataset, archive)
    [parts] = stub.parts.values()
    parts[2] = b"x" * 1000
    stub.breaks.clear()
    assert client.datasets.upload(dataset, archive)["state"] == "queued"


def test_the_same_file_can_be_uploaded_again(client: Client, stub: Stub, dataset: str, archive: Path) -> None:
    first = client.datasets.upload(dataset, archive)
    second = client.datasets.upload(dataset, archive)
    assert first["id"] != second["id"]
    assert len(stub.parts) == 2


def test_a_lost_answer_to_the_last_step_finds_its_import(
    client: Client, stub: Stub, dataset: str, archive: Path
) -> None:
    stub.break_at("POST", "/complete$")
    begun = client.datasets.upload(dataset, archive)
    assert [begun["id"]] == list(stub.things["imports"])


def test_a_part_survives_lost_connections(client: Client, stub: Stub, dataset: str, archive: Path) -> None:
    stub.break_at("PUT", "/parts/2$", 3)
    client.datasets.upload(dataset, archive)
    assert len(stub.calls("PUT", "/parts/2$")) == 4


def test_a_file_that_changes_meanwhile_is_refused(client: Client, dataset: str, archive: Path) -> None:
    def grow(done: int, total: int) -> None:
        if done == total:
            with archive.open("ab") as file:
                file.write(b"more")

    with pytest.raises(YardError, match="file_changed"):
        client.datasets.upload(dataset, archive, progress=grow)


def test_an_absent_file_is_told(client: Client, dataset: str, tmp_path: Path) -> None:
    with pytest.raises(YardError, match="no_such_file"):
        client.datasets.upload(dataset, tmp_path / "nothing.zip")


@pytest.mark.row("D2")
def test_waiting_for_an_import_tells_its_progress(client: Client, dataset: str, archive: Path) -> None:
    seen: list[float] = []
    ended = client.datasets.import_(dataset, archive, progress=lambda now: seen.append(now["progress"]))
    assert ended["version_number"] == 1
    assert seen == [0.5, 1.0]


@pytest.mark.row("D2")
def test_a_failed_import_raises_with_file_and_reason(client: Client, stub: Stub, dataset: str, archive: Path) -> None:
    stub.import_fails = True
    with pytest.raises(YardError) as caught:
        client.datasets.import_(dataset, archive)
    assert caught.value.code == "import_failed"
    assert [(fault.where, fault.reason) for fault in caught.value.faults] == [("3/x.png", "It is no image.")]


def test_waiting_ends_at_its_timeout(client: Client, stub: Stub, dataset: str, archive: Path) -> None:
    begun = client.datasets.upload(dataset, archive)
    stub.stands_still = True
    with pytest.raises(YardError, match="timeout"):
        client.datasets.wait_import(dataset, begun["id"], timeout=30)


@pytest.mark.row("T17")
def test_a_download_is_whole_and_checked(client: Client, stub: Stub, tmp_path: Path) -> None:
    job = client.jobs.create("j", algorithm_id="a", dataset_id="d")
    told: list[tuple[int, int | None]] = []
    written = client.jobs.download(
        job["id"], tmp_path / "in" / "all.zip", progress=lambda done, total: told.append((done, total))
    )
    assert written.read_bytes() == b"PK" * 500
    assert told[-1] == (1000, 1000)
    assert client.jobs.download(job["id"], tmp_path / "m.json", path="sub/model.json").read_bytes() == b"json"


@pytest.mark.row("T17")
def test_a_damaged_download_leaves_nothing(client: Client, stub: Stub, tmp_path: Path) -> None:
    stub.result_content = b"jsoX"
    job = client.jobs.create("j", algorithm_id="a", dataset_id="d")
    with pytest.raises(YardError, match="checksum_mismatch"):
        client.jobs.download(job["id"], tmp_path / "m.json", path="sub/model.json")
    assert os.listdir(tmp_path) == []


def test_a_folder_of_code_is_packed_without_caches(client: Client, stub: Stub, tmp_path: Path) -> None:
    (tmp_path / "code" / "__pycache__").mkdir(parents=True)
    (tmp_path / "code" / "train.py").write_text("print()")
    (tmp_path / "code" / "__pycache__" / "x.pyc").write_bytes(b"")
    made = client.algorithms.create({"name": "a", "purpose": "x/y", "formats": ["dir"], "training": {}})
    changed = client.algorithms.put_code(made["id"], "training", tmp_path / "code")
    assert changed["training_code"] is not None
    assert changed["training_code"]["files"] == 1
