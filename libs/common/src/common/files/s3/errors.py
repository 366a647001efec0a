"""What S3 servers answer, in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from common.disk import storage_full
from common.files.tree import absent
from common.kernel.errors import BadUpstream, Conflict, Invalid, Problem, Unavailable

_ABSENT = frozenset({"NoSuchKey", "NotFound", "404"})
_FULL = frozenset({"InsufficientStorage", "QuotaExceeded", "ServiceQuotaExceeded", "XMinioStorageFull", "507"})
_DIGEST = frozenset({"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"})
_LATER = frozenset({408, 429, 500, 502, 503, 504})


class BeyondEnd(Invalid):
    """A range that begins behind the last byte; never leaves this package."""


@contextmanager
def told(server: str, key: str) -> Iterator[None]:
    """Turn everything that the client raises into our problems; `key` is the object, `server` the endpoint.

    Raises NotFound (`file_not_found`), Conflict (`file_exists`), Invalid (`bad_key`, `checksum_mismatch`),
    StorageFull (`storage_full`), Unavailable (`files_unavailable`, `files_refused`, `bucket_not_found`), the problem
    itself that was raised where the client connects, and BadUpstream (`files_failed`) for what is none of these.
    """
    try:
        yield
    except ClientError as error:
        raise _answered(server, key, error) from error
    except (BotoCoreError, aiohttp.ClientError, OSError) as error:  # time-outs are OSErrors
        if isinstance(ours := _wrapped(error), Problem):
            raise ours from None
        raise unreachable(server, str(error) or type(error).__name__) from error


def _wrapped(error: Exception) -> object:
    """What the client met and hid in an error of its own, as it does with all that it does not know."""
    return error.kwargs.get("error") if isinstance(error, BotoCoreError) else error.__cause__


def no_list(server: str) -> BadUpstream:
    """The problem that says that what came is no list of objects, as any web page is none."""
    detail = f"What answers at {server} is no S3, or a broken one: it gave no list of objects. Correct the endpoint."
    return BadUpstream("files_failed", detail)


def unreachable(server: str, reason: str) -> Unavailable:
    """The problem that says that the server is away, or too slow."""
    return Unavailable("files_unavailable", f"The file store at {server} does not answer: {reason}. Try again later.")


def _answered(server: str, key: str, error: ClientError) -> Problem:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = f"{code or status} ({error.response.get('Error', {}).get('Message', 'no reason given')})"
    if code == "NoSuchBucket":
        reason = f"The file store at {server} has no such bucket; create it or correct the configuration."
        return Unavailable("bucket_not_found", reason)
    return _about_the_object(key, code, status, said) or _about_the_server(server, status, said)


def _about_the_object(key: str, code: str, status: int, said: str) -> Problem | None:
    if code in _ABSENT or status == 404:
        return absent(key)
    if code in ("PreconditionFailed", "ConditionalRequestConflict") or status == 412:
        return Conflict("file_exists", f"There is an object {key!r} already.", key=key)
    if code in _FULL or status in (413, 507):
        return storage_full(key, f"the file store says {said}")
    if code in _DIGEST:
        return Invalid("checksum_mismatch", f"{key} arrived damaged at the file store; send it again.")
    if status == 416:
        return BeyondEnd("bad_range", f"{key!r} ends before that range.")
    if code == "KeyTooLongError":
        return Invalid("bad_key", f"{key!r} can't be a key of the file store: it is too long for this server.")
    return None


def _about_the_server(server: str, status: int, said: str) -> Problem:
    if status in (401, 403):
        reason = f"The file store at {server} refuses our credentials: {said}. Correct the key, secret and region."
        return Unavailable("files_refused", reason)
    if status in _LATER:
        return unreachable(server, said)
    return BadUpstream("files_failed", f"The file store at {server} answered {said}, which nobody expected.")
