"""The file store behind a URL: `file:` or `s3:`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from common.files.local import LocalFiles
from common.hosting.settings import Settings
from common.ports.files import Files


def open_files(settings: Settings) -> Files:
    """The store; nothing is connected yet."""
    address = urlsplit(settings.files_url)
    if address.scheme != "s3":
        return LocalFiles(Path(unquote(address.path)) if address.path else settings.home.absolute() / "files")
    from common.files.s3 import S3Files, S3Settings  # botocore takes its time, and not everybody needs it

    given = {name: values[-1] for name, values in parse_qs(address.query).items()}
    prefix = unquote(address.path).strip("/")
    return S3Files(
        S3Settings(
            endpoint=given["endpoint"],
            bucket=address.netloc,
            key=settings.s3_key,
            secret=settings.s3_secret.get_secret_value(),
            region=given.get("region", "us-east-1"),
            prefix=f"{prefix}/" if prefix else "",
            public=given.get("public"),
            timeout=float(given.get("timeout", 10.0)),
            conditional=None,  # found out when it matters
            part_copy=given.get("part_copy", "yes") != "no",
            flat=given.get("flat", "yes") != "no",
        )
    )
