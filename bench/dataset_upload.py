"""`datasets-upload`: 1 GB sent through the gateway with its SHA-256, against nginx WebDAV on the same disk.

Both are sent to by the same client, in turns, from memory. Ours is cut into parts as the platform says, as many at a
time as `yard` sends, each with a SHA-256 of its own, and completed with that of the whole; nginx's turn comes once the
import has ended. nginx holds what it gets against nothing. On the disk both count until the bytes are there: ours says
so itself, nginx's file is synced behind it. In memory (/dev/shm) there is no disk to wait for, which shows what either
computes. `MODELYARD_BENCH_UPLOAD_BYTES` makes it smaller.
"""

from __future__ import annotations

import getpass
import hashlib
import http.client
import json
import mmap
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

from bench.gateway import nginx_with
from bench.house import password, platform, row
from yard import Client, YardError
from yard.parts import AT_ONCE

NAME = "datasets-upload"
BYTES = int(os.environ.get("MODELYARD_BENCH_UPLOAD_BYTES", 10**9))
ROUNDS = 5
GOAL = 0.9
SHARED_MEMORY = Path("/dev/shm")
_PIECE = 1 << 20

WEBDAV = """
user {user}; daemon off; worker_processes 1; pid {folder}/pid; error_log stderr error;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location / {{ root {folder}/files; dav_methods PUT DELETE; create_full_put_path on; client_max_body_size 0; }}
  }}
}}
"""


def run() -> list[dict[str, Any]]:
    """MB/s of whole uploads."""
    with _content() as body:
        disk = _in_turns(body, None)
        memory = _in_turns(body, SHARED_MEMORY) if SHARED_MEMORY.is_dir() else []
    rows = [_row("datasets-upload, onto the disk", disk, GOAL)]
    return [*rows, _row("datasets-upload, in memory", memory, None)] if memory else rows


def _row(name: str, rounds: list[tuple[float, float]], goal: float | None) -> dict[str, Any]:
    """MB/s of ours and nginx's; they stand side by side in time, and the round of the median ratio counts."""
    ours, nginx = sorted(rounds, key=lambda pair: pair[0] / pair[1])[len(rounds) // 2]
    told = "reported" if goal is None else f">= {goal} of nginx WebDAV"
    return row(name, ours, "MB/s", nginx, goal=told, met=goal is None or ours >= goal * nginx)


def _in_turns(body: memoryview, folder: Path | None) -> list[tuple[float, float]]:
    """MB/s of ours and of nginx's, round by round."""
    rounds = []
    with ExitStack() as stack:
        stack.enter_context(_temporary_in(folder))
        nginx = _Nginx(stack.enter_context(nginx_with(WEBDAV, user=getpass.getuser())), body)
        running, settings = stack.enter_context(platform())
        client = stack.enter_context(Client(running.address))
        token = client.login("admin", password(settings))["token"]
        ours = _Ours(client, token, body, settings.home / "files" / "objects")
        for turn in range(ROUNDS + 1):
            theirs, mine = _timed(nginx.upload), _timed(ours.upload)
            ours.settle()
            if turn:  # the first opens files and connections
                rounds.append((BYTES / 1e6 / mine, BYTES / 1e6 / theirs))
    return rounds


@contextmanager
def _temporary_in(folder: Path | None) -> Iterator[None]:
    before, tempfile.tempdir = tempfile.tempdir, str(folder) if folder else None
    try:
        yield
    finally:
        tempfile.tempdir = before


def _timed(work: Callable[[], None]) -> float:
    """Seconds, from a disk that has nothing else to write."""
    os.sync()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def _content() -> Iterator[memoryview]:
    """Bytes that no disk compresses, in memory."""
    with mmap.mmap(-1, BYTES) as room:
        block = os.urandom(_PIECE)
        for at in range(0, BYTES, _PIECE):
            room[at : at + _PIECE] = block[: min(_PIECE, BYTES - at)]
        with memoryview(room) as view:
            yield view


def _pieces(body: memoryview) -> Iterator[memoryview]:
    return (body[at : at + _PIECE] for at in range(0, len(body), _PIECE))


class _Nginx:
    """Uploads to nginx, of the same name each time."""

    def __init__(self, port: int, body: memoryview) -> None:
        self._port, self._body = port, body

    def upload(self) -> None:
        """One upload, until it is on the disk."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        headers = {"Content-Length": str(len(self._body))}
        connection.request("PUT", "/archive.zip", body=_pieces(self._body), headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status in (201, 204), answer.status
        connection.close()
        os.sync()


class _Ours:
    """Uploads to one dataset. What is sent is no archive, so each import ends at once and its archive goes."""

    def __init__(self, client: Client, token: str, body: memoryview, objects: Path) -> None:
        self._body, self._digests = body, {-1: hashlib.sha256(body).hexdigest()}
        self._objects = objects
        self._where = urlsplit(client.address)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._datasets = client.datasets
        self._dataset = client.datasets.create("bench", purpose="text/classification")["id"]
        self._uploads = f"/api/v1/datasets/{self._dataset}/uploads"

    def upload(self) -> None:
        """One upload, from its beginning to its archive."""
        connections: Queue[http.client.HTTPConnection] = Queue()
        for _ in range(AT_ONCE):
            connections.put(http.client.HTTPConnection(self._where.hostname or "", self._where.port))
        about = {"part": "train", "filename": "a.zip", "size": len(self._body)}
        begun = _asked(connections, "POST", self._uploads, self._headers, json.dumps(about))
        upload, size = f"{self._uploads}/{begun['id']}", begun["part_size"]

        def send(number: int) -> None:
            part = self._body[number * size : (number + 1) * size]
            headers = {"X-Content-SHA256": self._digest(number, part), "Content-Length": str(len(part))}
            _asked(connections, "PUT", f"{upload}/parts/{number + 1}", {**self._headers, **headers}, _pieces(part))

        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(send, range(begun["part_count"])))
        whole = json.dumps({"sha256": self._digests[-1]})
        _asked(connections, "POST", f"{upload}/complete", self._headers, whole)
        while not connections.empty():
            connections.get().close()

    def settle(self) -> None:
        """Wait until every import has ended, and its archive is gone."""
        for item in self._datasets.imports(self._dataset):
            with suppress(YardError):  # it is no archive
                self._datasets.wait_import(self._dataset, item["id"])
        while any(self._objects.glob("datasets/*/uploads/*")):
            time.sleep(0.05)

    def _digest(self, number: int, part: memoryview) -> str:
        """Of one part; computed in the first round, which is not counted, since nginx's client has none to compute."""
        if number not in self._digests:
            self._digests[number] = hashlib.sha256(part).hexdigest()
        return self._digests[number]


def _asked(
    connections: Queue[http.client.HTTPConnection], method: str, path: str, headers: dict[str, str], body: Any
) -> Any:
    """The answer to one request on a connection that nobody uses at present."""
    connection = connections.get()
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        assert answer.status < 300, found
        return found
    finally:
        connections.put(connection)
