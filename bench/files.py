"""Large objects through our file store against aiobotocore alone, in turns on one server (rclone, private, loopback).

The peer does what its manual says and no more: a multipart upload of the same blocks, as many at once, and a get read
to its end in mebibytes. Ours also holds what goes and comes against its SHA-256. Memory is the growth of this
process over the first put and get, sampled with every chunk.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
from aiobotocore.session import get_session

from bench.house import median, row
from common.files.s3 import S3Files, S3Settings
from common.files.s3.blocks import BLOCK
from common.files.s3.sending import AT_ONCE
from tests.servers.s3 import Rclone

NAME = "files"
BYTES = 1 << 30
TIMES = 3
GOAL = 0.95
MEMORY_MIB = 128
CHUNK = 1 << 20
PIECES = [bytes([number]) * CHUNK for number in range(64)]


def run() -> list[dict]:
    """MB/s of put and get, and MiB that memory grew by."""
    tempfile.tempdir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # not the disk is to be measured
    server = Rclone(cached=False)
    try:
        server.start()
        return asyncio.run(_measure(server.settings("bench/", timeout=60)))
    finally:
        server.close()
        tempfile.tempdir = None


async def _measure(settings: S3Settings) -> list[dict]:
    files = S3Files(settings)
    known = hashlib.sha256()  # beforehand, so that it is kept with the object and each get is held against it
    async for chunk in _content():
        known.update(chunk)
    memory = Memory()
    config: dict[str, Any] = {"endpoint_url": settings.endpoint, "region_name": settings.region}
    secrets = {"aws_access_key_id": settings.key, "aws_secret_access_key": settings.secret}
    async with get_session().create_client("s3", **config, **secrets) as client:
        await files.put("warm", b"x")
        await client.get_object(Bucket=settings.bucket, Key="bench/objects/warm")
        times: dict[str, list[float]] = {"put": [], "peer put": [], "get": [], "peer get": []}
        for turn in range(TIMES):
            watched = memory.watched if turn == 0 else _as_they_are
            times["put"].append(await _timed(files.put("ours", watched(_content()), sha256=known.hexdigest())))
            times["peer put"].append(await _timed(_peer_put(client, settings.bucket)))
            times["get"].append(await _timed(_drained(watched(files.get("ours")))))
            times["peer get"].append(await _timed(_peer_get(client, settings.bucket)))
    await files.close()
    rates = {name: BYTES / 1e6 / median(seconds) for name, seconds in times.items()}
    return [
        _speed("files.put", rates["put"], rates["peer put"]),
        _speed("files.get", rates["get"], rates["peer get"]),
        row("files.memory", memory.grown, "MiB", MEMORY_MIB, goal="flat", met=memory.grown <= MEMORY_MIB),
    ]


def _speed(name: str, rate: float, limit: float) -> dict:
    return row(name, rate, "MB/s", limit, goal=f">= {GOAL} of aiobotocore", met=rate >= GOAL * limit)


class Memory:
    """How much this process grew, in MiB, while chunks passed."""

    def __init__(self) -> None:
        self._me = psutil.Process()
        self._before = self._me.memory_info().rss
        self.grown = 0.0

    async def watched(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks."""
        async for chunk in chunks:
            self.grown = max(self.grown, (self._me.memory_info().rss - self._before) / (1 << 20))
            yield chunk


async def _content() -> AsyncIterator[bytes]:
    for number in range(BYTES // CHUNK):
        yield PIECES[number % len(PIECES)]


async def _as_they_are(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk


async def _drained(chunks: AsyncIterator[bytes]) -> None:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
    assert size == BYTES, size


async def _timed(work: Any) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def _peer_put(client: Any, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": "bench/peer"}
    where["UploadId"] = (await client.create_multipart_upload(**where))["UploadId"]
    gate = asyncio.Semaphore(AT_ONCE)

    async def send(number: int, body: bytes) -> dict[str, Any]:
        try:
            answer = await client.upload_part(PartNumber=number, Body=body, **where)
            return {"PartNumber": number, "ETag": answer["ETag"]}
        finally:
            gate.release()

    tasks, waiting = list[asyncio.Task[dict[str, Any]]](), list[bytes]()
    async for chunk in _content():
        waiting.append(chunk)
        if len(waiting) * CHUNK == BLOCK:
            await gate.acquire()
            tasks.append(asyncio.create_task(send(len(tasks) + 1, b"".join(waiting))))
            waiting = []
    await client.complete_multipart_upload(MultipartUpload={"Parts": await asyncio.gather(*tasks)}, **where)


async def _peer_get(client: Any, bucket: str) -> None:
    answer = await client.get_object(Bucket=bucket, Key="bench/peer")
    size = 0
    async with answer["Body"] as body:
        while chunk := await body.read(CHUNK):
            size += len(chunk)
    assert size == BYTES, size
