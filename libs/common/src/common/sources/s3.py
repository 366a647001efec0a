"""An S3 prefix as a source, through the one door of aiobotocore."""

from __future__ import annotations

from collections.abc import AsyncIterator

from common.files.s3.settings import S3Settings
from common.files.s3.wire import Wire
from common.kernel.errors import Invalid, Problem, Unavailable
from common.sources.egress import Egress, GuardedResolver
from common.sources.port import Found


class S3Source:
    """The objects of a bucket below a prefix. Those that stand for folders are left out."""

    def __init__(
        self, endpoint: str, bucket: str, region: str, prefix: str, key: str, secret: str, egress: Egress
    ) -> None:
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._where = f"s3://{bucket}/{self._prefix}"
        settings = S3Settings(endpoint, bucket, key, secret, region=region)
        self._wire = Wire(settings, resolver=lambda: GuardedResolver(egress))

    async def files(self) -> AsyncIterator[Found]:
        """Every object, in the order of keys."""
        try:
            async for key, head in self._wire.list(self._prefix):
                if not key.endswith("/"):
                    yield Found(key.removeprefix(self._prefix), head.size, head.etag or head.modified.isoformat())
        except Problem as problem:
            raise _told(self._where, problem) from problem

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """The bytes of one object."""
        try:
            size = (await self._wire.head(self._prefix + path)).size
            if size:
                async with self._wire.get(self._prefix + path, 0, size) as (_, body):
                    async for chunk in body:
                        yield chunk
        except Problem as problem:
            raise _told(self._where + path, problem) from problem

    async def close(self) -> None:
        """Give connections back."""
        await self._wire.close()


def _told(where: str, problem: Problem) -> Problem:
    """The same in the words of a source: what is amiss elsewhere is no failure of this platform."""
    if isinstance(problem, Unavailable) and problem.code not in ("files_refused", "bucket_not_found"):
        return Unavailable("source_unavailable", f"{where}: {problem.detail}")
    return Invalid("source_refused", f"{where}: {problem.detail}")
