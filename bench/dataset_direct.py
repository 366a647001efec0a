"""`datasets-direct`: 1 GB uploaded by the client straight to an S3 server, against aiobotocore alone, in turns.

The server is rclone, private and in memory. The peer does what its manual says: a multipart upload of parts as large,
as many at once, from the same file. Ours also asks dataset-svc for the links, and computes the SHA-256 that the import
will hold the archive against; it ends when the archive is complete in the store and its import queued.
`MODELYARD_BENCH_UPLOAD_BYTES` makes it smaller.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import uvloop
from aiobotocore.session import get_session

from bench.house import row
from bench.load import child, say_and_serve
from common.files.s3 import S3Files, S3Settings
from tests.servers.s3 import Rclone
from yard import Client, YardError
from yard.parts import AT_ONCE, parts_of

NAME = "datasets-direct"
BYTES = int(os.environ.get("MODELYARD_BENCH_UPLOAD_BYTES", 10**9))
ROUNDS = 5
GOAL = 0.95
PART_BYTES = 16 << 20
_PIECE = 1 << 20


def run() -> list[dict[str, Any]]:
    """MB/s of whole uploads; they stand side by side in time, and the round of the median ratio counts."""
    before, tempfile.tempdir = tempfile.tempdir, "/dev/shm" if Path("/dev/shm").is_dir() else None
    try:
        rounds = _in_turns()
    finally:
        tempfile.tempdir = before
    ours, peer = sorted(rounds, key=lambda pair: pair[0] / pair[1])[len(rounds) // 2]
    goal = f">= {GOAL} of aiobotocore"
    return [row("datasets-direct: straight to S3", ours, "MB/s", peer, goal=goal, met=ours >= GOAL * peer)]


def _in_turns() -> list[tuple[float, float]]:
    rounds = []
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name, ExitStack() as stack:
        server = Rclone(cached=False)
        stack.callback(server.close)
        server.start()
        settings = server.settings("bench/", timeout=60)
        file = _content(Path(name) / "archive.zip")
        told = json.dumps(asdict(settings))
        service = stack.enter_context(child("bench.dataset_direct", f"{name}/home", told))
        client = stack.enter_context(Client(f"http://127.0.0.1:{service['port']}", service["token"], timeout=600))
        dataset = client.datasets.create("bench", purpose="text/classification")["id"]
        for turn in range(ROUNDS + 1):
            theirs = _timed(lambda: asyncio.run(_peer(settings, file)))
            os.utime(file)  # else it would be the upload of before that is gone on with
            mine = _timed(lambda: client.datasets.upload(dataset, file, direct=True))
            _until_ended(client, dataset)
            if turn:  # the first opens files and connections
                rounds.append((BYTES / 1e6 / mine, BYTES / 1e6 / theirs))
    return rounds


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _content(path: Path) -> Path:
    """A file that is no archive, so that its import ends when it was fetched."""
    block = os.urandom(_PIECE)
    with path.open("wb") as file:
        for at in range(0, BYTES, _PIECE):
            file.write(block[: min(_PIECE, BYTES - at)])
    return path


def _until_ended(client: Client, dataset: str) -> None:
    """Wait for the import, which finds no archive and would disturb the peer."""
    with suppress(YardError):
        client.wait_import(dataset, client.datasets.imports(dataset)[0]["id"])


async def _peer(settings: S3Settings, file: Path) -> None:
    """A multipart upload by aiobotocore and nothing else."""
    config: dict[str, Any] = {"endpoint_url": settings.endpoint, "region_name": settings.region}
    secrets = {"aws_access_key_id": settings.key, "aws_secret_access_key": settings.secret}
    async with get_session().create_client("s3", **config, **secrets) as client:
        where = {"Bucket": settings.bucket, "Key": "bench/peer"}
        where["UploadId"] = (await client.create_multipart_upload(**where))["UploadId"]
        gate = asyncio.Semaphore(AT_ONCE)

        async def send(number: int, body: bytes) -> dict[str, Any]:
            try:
                answer = await client.upload_part(PartNumber=number, Body=body, **where)
                return {"PartNumber": number, "ETag": answer["ETag"]}
            finally:
                gate.release()

        tasks: list[asyncio.Task[dict[str, Any]]] = []
        for number, body in parts_of(file, PART_BYTES):
            await gate.acquire()
            tasks.append(asyncio.create_task(send(number, body)))
        await client.complete_multipart_upload(MultipartUpload={"Parts": await asyncio.gather(*tasks)}, **where)


async def _serve(home: Path, settings: S3Settings) -> None:
    """dataset-svc, alone, on that store."""
    from common.service import run as run_services
    from common.telemetry import logs, traces
    from common.web.identity import Principal
    from dataset_svc.service import build
    from dataset_svc.settings import Settings
    from embedded.platform import open_platform
    from embedded.settings import Settings as Embedded

    logs.set_up("WARNING")
    traces.set_up("bench")
    files = S3Files(settings)
    async with open_platform(Embedded(home=home), {}) as platform:
        service = build(replace(platform, files=files), Settings(part_bytes=PART_BYTES))
        async with run_services(platform, [service]):
            token = platform.signer_of("gateway").sign(Principal("user-1", "admin", "bench"), 3600)
            await say_and_serve(service.app, token=token)
    await files.close()


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1]), S3Settings(**json.loads(sys.argv[2]))))
