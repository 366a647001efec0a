"""Large downloads straight from the file store, going on where they broke off."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.yard.stub import Answer, Asked, Stub
from yard import Client, YardError, downloads

CONTENT = os.urandom(300_000)
PATH = "sub/model.json"


class Store(ThreadingHTTPServer):
    """Gives the content by ranges; answers that are cut off, or refused, as told beforehand."""

    def __init__(self) -> None:
        self.cuts: list[int] = []
        self.refuses: list[int] = []
        self.ranges: list[str | None] = []
        self.knows_ranges = True
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Store

    def do_GET(self) -> None:
        assert "authorization" not in {name.lower() for name in self.headers}
        store, wanted = self.server, self.headers.get("Range")
        store.ranges.append(wanted)
        if store.refuses:
            self.send_response(store.refuses.pop(0))
            self.end_headers()
            return
        begin, _, end = (wanted or "bytes=0-").removeprefix("bytes=").partition("-")
        partly = wanted is not None and store.knows_ranges
        body = CONTENT[int(begin) : int(end) + 1 if end else None] if partly else CONTENT
        self.send_response(206 if partly else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: store.cuts.pop(0) if store.cuts else None])

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as serving:
        thread = Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture
def job(stub: Stub, store: Store, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job with one result, which counts as large."""
    monkeypatch.setattr(downloads, "LARGE", 1000)
    made = stub.add("jobs", "job", name="training", state="succeeded", attempt=1, model_id=None)
    stub.result_content = CONTENT
    stub.result_link = {"url": f"http://127.0.0.1:{store.server_port}/key", "headers": {}, "direct": True}
    return str(made["id"])


@pytest.mark.row("T17")
def test_it_goes_on_where_it_broke_off(client: Client, store: Store, job: str, tmp_path: Path) -> None:
    store.cuts = [100_000, 50_000]
    told: list[int] = []
    to = client.jobs.download(job, tmp_path / "m", progress=lambda done, _: told.append(done), path=PATH)
    assert to.read_bytes() == CONTENT
    assert store.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert told == sorted(told)
    assert list(tmp_path.iterdir()) == [to]


@pytest.mark.row("T17")
def test_another_run_goes_on_where_the_first_gave_up(client: Client, store: Store, job: str, tmp_path: Path) -> None:
    store.cuts = [100_000]
    client.http.patience = 0.0
    with pytest.raises(YardError, match="goes on"):
        client.jobs.download(job, tmp_path / "m", path=PATH)
    assert client.jobs.download(job, tmp_path / "m", path=PATH).read_bytes() == CONTENT
    assert store.ranges == [None, "bytes=100000-"]


@pytest.mark.row("T17")
def test_a_link_that_expired_meanwhile_is_asked_for_again(
    client: Client, stub: Stub, store: Store, job: str, tmp_path: Path
) -> None:
    store.cuts = [100_000]
    original = stub.result

    def expired(asked: Asked, id: str) -> Answer:
        if len(store.ranges) == 1 and asked.query.get("link"):
            store.refuses.append(403)
        return original(asked, id)

    stub.result = expired  # type: ignore[method-assign]
    assert client.jobs.download(job, tmp_path / "m", path=PATH).read_bytes() == CONTENT
    assert store.ranges == [None, "bytes=100000-", "bytes=100000-"]


def test_part_of_a_larger_object_is_asked_for_as_it_is(
    client: Client, stub: Stub, store: Store, job: str, tmp_path: Path
) -> None:
    stub.result_link["headers"] = {"Range": f"bytes=0-{len(CONTENT) - 1}"}
    store.cuts = [5000]
    assert client.jobs.download(job, tmp_path / "m", path=PATH).read_bytes() == CONTENT
    assert set(store.ranges) == {f"bytes=0-{len(CONTENT) - 1}"}


def test_a_store_without_ranges_begins_anew(client: Client, store: Store, job: str, tmp_path: Path) -> None:
    store.cuts, store.knows_ranges = [100_000], False
    assert client.jobs.download(job, tmp_path / "m", path=PATH).read_bytes() == CONTENT


@pytest.mark.row("T17")
@pytest.mark.parametrize("why", ["no links", "nobody there", "refused"])
def test_where_it_can_not_it_comes_through_the_platform(
    client: Client, stub: Stub, store: Store, job: str, tmp_path: Path, why: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if why == "no links":
            stub.result_link["direct"] = False
        elif why == "refused":
            store.refuses = [403]
        else:
            stub.result_link["url"] = f"http://127.0.0.1:{taken.getsockname()[1]}/key"
        to = client.jobs.download(job, tmp_path / "m", path=PATH)
    assert to.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [to]


def test_what_came_damaged_is_not_kept(client: Client, stub: Stub, job: str, tmp_path: Path) -> None:
    stub.result_digest = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(YardError, match="checksum_mismatch"):
        client.jobs.download(job, tmp_path / "m", path=PATH)
    assert list(tmp_path.iterdir()) == []
