"""aiobotocore with types, time limits and our problems: one method a request, and nothing above that.

aiobotocore has no types of its own, so `Any` ends here. Bodies carry their SHA-256, or as parts their CRC-32, in a
header that the server holds them against where it can; so the payload is not hashed once more for the signature.
"""

from __future__ import annotations

import asyncio
import base64
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session

from common.files.s3.errors import BeyondEnd, no_list, told, unreachable
from common.files.s3.settings import S3Settings
from common.ports.files import DirectPart

SLOWEST = 256 << 10
"""Bytes a second below which a transfer counts as stuck: a write into a black hole has no time-out of its own."""

PAGE = 1000
"""Objects in a page of a list; the most that S3 gives."""

_OF_A_LIST = frozenset({"IsTruncated", "Name", "KeyCount", "Contents"})
"""Fields of a list: S3 gives at least the first two, be it empty or not, and no web page has any of them."""

CONNECTIONS = 32
ATTEMPTS = 3

LAST_SECONDS = 3.0
"""What a request still has when the server has fallen silent."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a server says of an object. `sha256` as we recorded it; this answer has the bytes from `at` up to `until`
    (exclusive)."""

    size: int
    modified: datetime
    sha256: str | None
    at: int = 0
    until: int = 0
    etag: str = ""


Page = Sequence[tuple[str, Head]]
"""Objects by their keys."""


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part of a multipart upload, as completing it wants it named."""

    number: int
    etag: str
    checksum: str | None


@functools.cache
def _session() -> AioSession:
    """One for all: it holds the parsed description of S3, which takes a while to load."""
    return get_session()


class Wire:
    """Requests to one bucket. Keys are whole keys of the bucket. Raises what `errors.told` lists.

    `connector` gives how aiohttp is to connect, where the server is not ours to trust.
    """

    def __init__(self, settings: S3Settings, *, connector: Callable[[], dict[str, Any]] | None = None) -> None:
        self._settings = settings
        self._connector = connector
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._clients: dict[str, Any] = {}
        self._silent: str | None = None
        self._under_way: dict[asyncio.Timeout, float | None] = {}

    def wedge(self, reason: str | None) -> None:
        """The server is known to be silent, or (None) no more: requests are refused, and those under way end soon."""
        self._silent = reason
        last = asyncio.get_running_loop().time() + LAST_SECONDS
        for limit, end in self._under_way.items():
            if limit.expired():
                continue
            limit.reschedule(end if reason is None or end is None else min(end, limit.when() or last, last))

    async def put(
        self, key: str, body: bytes, sha256: str, metadata: Mapping[str, str], *, if_absent: bool = False
    ) -> None:
        """PutObject. `if_absent` only where the server knows `If-None-Match`."""
        more: dict[str, Any] = {"IfNoneMatch": "*"} if if_absent else {}
        checksum = _base64(sha256)
        await self._ask("put_object", key, len(body), Body=body, Metadata=metadata, ChecksumSHA256=checksum, **more)

    async def head(self, key: str) -> Head:
        """HeadObject."""
        return _head(await self._ask("head_object", key))

    @asynccontextmanager
    async def get(self, key: str, start: int, end: int) -> AsyncIterator[tuple[Head, AsyncIterator[bytes]]]:
        """GetObject from `start` up to `end` (exclusive, larger): what it is and its bytes, which begin at `at`:
        a server may ignore the range. Beyond the end there are none."""
        try:
            found = await self._ask("get_object", key, Range=f"bytes={start}-{end - 1}")
        except BeyondEnd:
            yield Head(start, datetime.now(UTC), None, start, start), _nothing()
            return
        body = found["Body"]
        try:
            yield _head(found), self._body(key, body)
        finally:
            body.close()

    async def _body(self, key: str, body: Any) -> AsyncIterator[bytes]:
        with told(self._settings.endpoint, key):
            while chunk := await body.read(1 << 20):
                yield chunk

    async def list(self, prefix: str) -> AsyncGenerator[tuple[str, Head], None]:
        """ListObjectsV2: every key below it."""
        async with aclosing(self.pages(prefix)) as pages:
            async for page in pages:
                for one in page:
                    yield one

    async def pages(self, prefix: str) -> AsyncGenerator[Page, None]:
        """ListObjectsV2, page by page; one may be empty with others after it. Raises BadUpstream (`files_failed`) where
        no S3 answers."""
        more: dict[str, Any] = {}
        while True:
            page = await self._ask("list_objects_v2", "", Prefix=prefix, MaxKeys=PAGE, **more)
            if not page.keys() & _OF_A_LIST:
                raise no_list(self._settings.endpoint)
            yield [
                (row["Key"], Head(row["Size"], row["LastModified"], None, etag=row.get("ETag", "")))
                for row in page.get("Contents", ())
            ]
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    async def delete(self, key: str) -> None:
        """DeleteObject, which is content with absence."""
        await self._ask("delete_object", key)

    async def create_upload(self, key: str, metadata: Mapping[str, str], *, summed: bool) -> str:
        """CreateMultipartUpload; its id. `summed`: whether parts will come with their CRC-32."""
        more: dict[str, Any] = {"ChecksumAlgorithm": "CRC32"} if summed else {}
        return str((await self._ask("create_multipart_upload", key, Metadata=metadata, **more))["UploadId"])

    async def send_part(self, key: str, upload: str, number: int, body: bytes, checksum: str) -> SentPart:
        """UploadPart; `checksum` is its CRC-32 in Base64."""
        more = {"UploadId": upload, "PartNumber": number, "ChecksumCRC32": checksum}
        found = await self._ask("upload_part", key, len(body), Body=body, **more)
        return SentPart(number, found["ETag"], checksum)

    async def copy_part(self, key: str, upload: str, number: int, source: str, size: int) -> SentPart:
        """UploadPartCopy of a whole object of the same bucket."""
        where = {"Bucket": self._settings.bucket, "Key": source}
        found = await self._ask("upload_part_copy", key, size, UploadId=upload, PartNumber=number, CopySource=where)
        return SentPart(number, found["CopyPartResult"]["ETag"], None)

    async def complete_upload(self, key: str, upload: str, parts: Sequence[SentPart], *, if_absent: bool) -> None:
        """CompleteMultipartUpload; the object is there at once, or not at all."""
        named = [
            {"PartNumber": part.number, "ETag": part.etag} | ({"ChecksumCRC32": part.checksum} if part.checksum else {})
            for part in sorted(parts, key=lambda part: part.number)
        ]
        more: dict[str, Any] = {"IfNoneMatch": "*"} if if_absent else {}
        await self._ask("complete_multipart_upload", key, UploadId=upload, MultipartUpload={"Parts": named}, **more)

    async def abort_upload(self, key: str, upload: str) -> None:
        """AbortMultipartUpload."""
        await self._ask("abort_multipart_upload", key, UploadId=upload)

    async def sent_parts(self, key: str, upload: str) -> AsyncGenerator[DirectPart, None]:
        """ListParts, page by page."""
        more: dict[str, Any] = {}
        while True:
            page = await self._ask("list_parts", key, UploadId=upload, **more)
            for row in page.get("Parts", ()):
                yield DirectPart(row["PartNumber"], row["Size"], row["ETag"])
            if not page.get("IsTruncated"):
                return
            more = {"PartNumberMarker": page["NextPartNumberMarker"]}

    async def uploads(self, prefix: str) -> AsyncGenerator[tuple[str, str], None]:
        """ListMultipartUploads, page by page: key and id."""
        more: dict[str, Any] = {}
        while True:
            page = await self._ask("list_multipart_uploads", "", Prefix=prefix, **more)
            for row in page.get("Uploads", ()):
                yield row["Key"], row["UploadId"]
            if not page.get("IsTruncated"):
                return
            more = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    async def create_bucket(self) -> None:
        """CreateBucket; one that we have already is fine."""
        client = await self._client(self._settings.endpoint)
        with told(self._settings.endpoint, ""):
            try:
                await client.create_bucket(Bucket=self._settings.bucket)
            except (client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
                await client.head_bucket(Bucket=self._settings.bucket)

    async def link(self, method: str, key: str, seconds: int, **more: Any) -> str:
        """A signed address, made here without asking the server."""
        client = await self._client(self._settings.public or self._settings.endpoint)
        params = {"Bucket": self._settings.bucket, "Key": key, **more}
        return str(await client.generate_presigned_url(method, params, ExpiresIn=seconds))

    async def close(self) -> None:
        """Close every connection."""
        await self._stack.aclose()
        self._clients.clear()

    async def _ask(self, method: str, key: str, size: int = 0, **more: Any) -> dict[str, Any]:
        """One request, in no more time than moving `size` bytes may take."""
        if self._silent is not None:
            raise unreachable(self._settings.endpoint, self._silent)
        client = await self._client(self._settings.endpoint)
        params = {"Bucket": self._settings.bucket, **({"Key": key} if key else {}), **more}
        with told(self._settings.endpoint, key):
            async with self._limited(ATTEMPTS * self._settings.timeout + size / SLOWEST):
                return cast(dict[str, Any], await cast(Awaitable[Any], getattr(client, method)(**params)))

    @asynccontextmanager
    async def _limited(self, seconds: float) -> AsyncIterator[None]:
        async with asyncio.timeout(seconds) as limit:
            self._under_way[limit] = limit.when()
            try:
                yield
            finally:
                del self._under_way[limit]

    async def _client(self, endpoint: str) -> Any:
        async with self._opening:
            if endpoint not in self._clients:
                made = _session().create_client(
                    "s3",
                    endpoint_url=endpoint,
                    region_name=self._settings.region,
                    aws_access_key_id=self._settings.key,
                    aws_secret_access_key=self._settings.secret,
                    config=_config(self._settings.timeout, self._connector),
                )
                self._clients[endpoint] = await self._stack.enter_async_context(made)
            return self._clients[endpoint]


def _config(timeout: float, connector: Callable[[], dict[str, Any]] | None) -> AioConfig:
    return AioConfig(
        connector_args=connector() if connector is not None else None,
        connect_timeout=timeout,
        read_timeout=timeout,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path", "payload_signing_enabled": False},
    )


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in tuple[bytes, ...]():
        yield chunk


def _base64(sha256: str) -> str:
    return base64.b64encode(bytes.fromhex(sha256)).decode()


def _head(found: Mapping[str, Any]) -> Head:
    size, at, length = found["ContentLength"], 0, found["ContentLength"]
    if (span := found.get("ContentRange")) and (place := span.removeprefix("bytes ").partition("/"))[2].isdigit():
        at, size = int(place[0].partition("-")[0]), int(place[2])
    sha256 = found.get("Metadata", {}).get("sha256")
    return Head(size, found["LastModified"], sha256, at, at + length, found.get("ETag", ""))
