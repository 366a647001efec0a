"""Uploads that go straight to the file store, and through the platform where they can't."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.yard.stub import Stub
from yard import Client, YardError


@pytest.fixture
def dataset(client: Client, stub: Stub, address: str) -> str:
    stub.store_at = address
    return str(client.datasets.create("digits", purpose="image/classification")["id"])


def sent(stub: Stub) -> list[str]:
    return sorted(one.path.rpartition("/")[2] for one in stub.calls("PUT", "^/store/"))


@pytest.mark.row("D2")
def test_parts_go_straight_to_the_store(client: Client, stub: Stub, dataset: str, archive: Path) -> None:
    told: list[tuple[int, int]] = []
    client.datasets.upload(dataset, archive, direct=True, progress=lambda done, all: told.append((done, all)))
    assert told == [(1000, 3500), (2000, 3500), (3000, 3500), (3500, 3500)]
    assert sent(stub) == ["1", "2", "3", "4"]
    assert not stub.calls("PUT", "/parts/")
    [parts] = stub.parts.values()
    assert b"".join(parts[n] for n in sorted(parts)) == archive.read_bytes()


@pytest.mark.row("D2")
def test_after_a_kill_only_what_has_not_arrived_is_sent(
    client: Client, stub: Stub, dataset: str, archive: Path
) -> None:
    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        client.datasets.upload(dataset, archive, direct=True, progress=kill)
    client.datasets.upload(dataset, archive, direct=True)
    assert sent(stub) == ["1", "2", "3", "4"], "none twice"
    assert len(stub.parts) == 1


@pytest.mark.row("D2")
@pytest.mark.parametrize("refused", ["nobody there", "not that way"])
def test_where_the_store_is_out_of_reach_the_platform_takes_it(
    client: Client, stub: Stub, dataset: str, archive: Path, refused: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refused at once
        if refused == "nobody there":
            stub.store_at = f"http://127.0.0.1:{taken.getsockname()[1]}"
        else:
            stub.store_refuses["/1"] = 403
        lines: list[str] = []
        begun = client.datasets.upload(dataset, archive, direct=True, say=lines.append)
    assert begun["state"] == "queued"
    assert len(stub.calls("PUT", "/parts/")) == 4
    [line] = lines
    assert "through the platform" in line
    assert [one["state"] for one in stub.things["uploads"].values()] == ["aborted", "completed"]


def test_a_platform_without_links_says_so_where_they_were_asked_for(
    client: Client, stub: Stub, dataset: str, archive: Path
) -> None:
    stub.store_at, lines = "", list[str]()
    client.datasets.upload(dataset, archive, direct=True, say=lines.append)
    assert "gives no links" in lines[0]
    client.datasets.upload(dataset, archive, say=lines.append)
    assert len(lines) == 1, "small files go through the platform anyway"


@pytest.mark.row("D2")
def test_a_stale_link_is_asked_for_again_and_a_store_that_stumbles_is_borne(
    client: Client, stub: Stub, dataset: str, archive: Path
) -> None:
    stub.store_refuses |= {"/2": 403, "/3": 503}
    stub.break_at("PUT", "^/store/.*/4$", before=True)
    assert client.datasets.upload(dataset, archive, direct=True)["state"] == "queued"
    assert sent(stub) == ["1", "2", "2", "3", "3", "4", "4"]
    assert [one.json["numbers"] for one in stub.calls("POST", "/links$")] == [[1, 2, 3, 4], [2, 3, 4]]


@pytest.mark.row("D2")
def test_parts_that_the_store_has_forgotten_are_sent_once_more(
    client: Client, stub: Stub, dataset: str, archive: Path
) -> None:
    forgotten: list[int] = []

    def forget(done: int, total: int) -> None:
        if done == total and not forgotten:
            [parts] = stub.parts.values()
            forgotten.extend(parts)
            parts.clear()

    assert client.datasets.upload(dataset, archive, direct=True, progress=forget)["state"] == "queued"
    assert len(sent(stub)) == 8


def test_a_store_that_goes_on_refusing_is_told(client: Client, stub: Stub, dataset: str, archive: Path) -> None:
    stub.break_at("PUT", "^/store/.*/2$", times=10_000, before=True)
    with pytest.raises(YardError, match="connection_lost"):
        client.datasets.upload(dataset, archive, direct=True)
