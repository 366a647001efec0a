"""An S3 prefix as a source, through the one door of aiobotocore."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from common.files.s3.settings import S3Settings
from common.files.s3.wire import Wire
from common.kernel.errors import Invalid, Problem, Unavailable
from common.sources.egress import AddressRefused, Egress
from common.sources.port import BARREN, Found


class S3Source:
    """The objects of a bucket below a prefix. Those that stand for folders are left out."""

    def __init__(
        self, endpoint: str, bucket: str, region: str, prefix: str, key: str, secret: str, egress: Egress
    ) -> None:
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._where = f"s3://{bucket}/{self._prefix}"
        settings = S3Settings(endpoint, bucket, key, secret, region=region)
        self._wire = Wire(settings, connector=egress.connector)

    async def files(self) -> AsyncGenerator[Found, None]:
        """Every object, in the order of keys."""
        barren = 0
        with _telling(self._where):
            async with aclosing(self._wire.pages(self._prefix)) as pages:
                async for page in pages:
                    files = [(key, head) for key, head in page if not key.endswith("/")]
                    for key, head in files:
                        yield Found(key.removeprefix(self._prefix), head.size, head.etag or head.modified.isoformat())
                    barren = 0 if files else barren + 1
                    if barren > BARREN:
                        raise ValueError(f"more than {BARREN} pages of its list follow each other without a file")

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one object."""
        with _telling(self._where + path):
            size = (await self._wire.head(self._prefix + path)).size
            if size:
                async with self._wire.get(self._prefix + path, 0, size) as (_, body):
                    async for chunk in body:
                        yield chunk

    async def close(self) -> None:
        """Give connections back."""
        await self._wire.close()


@contextmanager
def _telling(where: str) -> Iterator[None]:
    """The same in the words of a source: what is amiss elsewhere is no failure of this platform."""
    try:
        yield
    except AddressRefused:
        raise
    except Problem as problem:
        if isinstance(problem, Unavailable) and problem.code not in ("files_refused", "bucket_not_found"):
            raise Unavailable("source_unavailable", f"{where}: {problem.detail}") from problem
        raise Invalid("source_refused", f"{where}: {problem.detail}") from problem
    except (LookupError, ValueError) as error:  # of an answer without what every S3 says, or with something else there
        detail = f"{where}: what answers there is no S3, or a broken one ({error!r}). Correct the endpoint."
        raise Invalid("source_refused", detail) from error
