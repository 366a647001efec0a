"""How a source is described, and from that to one that can be read. Secrets are apart, and never shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from common.kernel.errors import Fault, Invalid
from common.sources.egress import Egress
from common.sources.port import Source
from common.sources.s3 import S3Source
from common.sources.shared import SharedSource
from common.sources.swift import SwiftSource


class _Connection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: str = Field(default="", max_length=1024, description="What lies below it alone")


class S3Connection(_Connection):
    """A bucket of any server that speaks S3 (seed 003: `type: s3`)."""

    type: Literal["s3"] = "s3"
    endpoint_url: str = Field(max_length=1024)
    bucket: str = Field(min_length=1, max_length=255)
    region: str = Field(default="us-east-1", max_length=64)


class SwiftConnection(_Connection):
    """A container of OpenStack Swift. With `project_id` Keystone v3 is asked (seed 003: `bluemix_objectstore`), without
    one Swift's own v1."""

    type: Literal["bluemix_objectstore", "swift"] = "swift"
    auth_url: str = Field(max_length=1024)
    container: str = Field(min_length=1, max_length=255)
    region: str | None = Field(default=None, max_length=64)
    domain_name: str | None = Field(default=None, max_length=255)
    project_id: str | None = Field(default=None, max_length=255)


class SharedPath(_Connection):
    """A folder below one of the shared file systems that an administrator named."""

    type: Literal["path"] = "path"
    root: str = Field(min_length=1, max_length=64)


Connection = Annotated[S3Connection | SwiftConnection | SharedPath, Field(discriminator="type")]

SECRETS: Mapping[str, tuple[str, ...]] = {
    "s3": ("access_key_id", "secret_access_key"),
    "swift": ("user_name", "password"),
    "bluemix_objectstore": ("user_name", "password"),
    "path": (),
}
"""Kind → the secrets that go with it, by the names of seed 003."""


def secret_faults(kind: str, given: Mapping[str, str]) -> list[Fault]:
    """What is wrong with the secrets that were given for a kind."""
    wanted = SECRETS[kind]
    faults = [Fault(f"credentials.{name}", "It is needed.") for name in wanted if not given.get(name)]
    faults += [Fault(f"credentials.{name}", _NO_CONTROLS) for name in wanted if _controls(given.get(name, ""))]
    known = f"There are {', '.join(wanted)}." if wanted else "There are none for this kind."
    return faults + [Fault(f"credentials.{name}"[:120], known) for name in given if name not in wanted]


_NO_CONTROLS = "It has a control character, such as a line break at its end: give it without."


def _controls(text: str) -> bool:
    """Whether it has characters that no header of a request can have."""
    return any(unicodedata.category(char) in ("Cc", "Cs") for char in text)


ADDRESSES = ("endpoint_url", "auth_url")
"""Fields of a connection that are addresses."""


def address_faults(connection: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with the addresses of a new connection, which are kept and shown as they are. Those that were
    stored before stay readable, so no model of theirs asks this."""
    reason = "It has an @: give credentials by their names, not in the address."
    return [Fault(f"connection.{name}", reason) for name in ADDRESSES if "@" in connection.get(name, "")]


def without_credentials(connection: Mapping[str, Any]) -> dict[str, Any]:
    """A connection as it may be shown: what stands before a host, as it was once taken, is masked."""
    masked = {name: re.sub(r"^([^/@]*//)?.*@", r"\1***@", connection[name]) for name in ADDRESSES if name in connection}
    return {**connection, **masked}


async def open_source(
    connection: S3Connection | SwiftConnection | SharedPath,
    secrets: Mapping[str, str],
    egress: Egress,
    roots: Mapping[str, Path],
) -> Source:
    """The source itself, which must be closed. Raises AddressRefused, Invalid (`unknown_root`), Unavailable."""
    if isinstance(connection, SharedPath):
        if connection.root not in roots:
            there = ", ".join(sorted(roots)) or "none"
            raise Invalid("unknown_root", f"There is no shared file system {connection.root!r}; there are: {there}.")
        return SharedSource(roots[connection.root], connection.prefix)
    if isinstance(connection, S3Connection):
        await egress.check(connection.endpoint_url)
        return S3Source(
            connection.endpoint_url,
            connection.bucket,
            connection.region,
            connection.prefix,
            secrets["access_key_id"],
            secrets["secret_access_key"],
            egress,
        )
    await egress.check(connection.auth_url)
    return SwiftSource(
        connection.auth_url,
        connection.container,
        connection.prefix,
        secrets["user_name"],
        secrets["password"],
        egress,
        region=connection.region,
        domain=connection.domain_name,
        project=connection.project_id,
    )
