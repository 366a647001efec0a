"""Where a bucket is, and what its server can't do."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class S3Settings:
    """One bucket, or what lies below `prefix` in it.

    `endpoint` is how the services reach the server, `public` how the holders of links do, where that differs.
    `timeout`: seconds in which a connection is made, an answer begins, or the next bytes come. `conditional` False
    says that the server ignores `If-None-Match` (rclone does), None that this is found out when it first matters;
    `part_copy` False that it can't put a multipart upload together from objects that it has; `flat` False that keys
    are paths of its file system, where deleting `a` takes `a/b` with it (rclone again), so that we look before each
    deletion.
    """

    endpoint: str
    bucket: str
    key: str
    secret: str = field(repr=False)
    region: str = "us-east-1"
    prefix: str = ""
    public: str | None = None
    timeout: float = 20.0
    conditional: bool | None = True
    part_copy: bool = True
    flat: bool = True
