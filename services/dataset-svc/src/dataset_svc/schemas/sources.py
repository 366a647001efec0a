"""What the API of external sources takes and answers. Secrets come in and never go out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from common.sources import Found
from common.sources.connections import Connection
from dataset_svc.domain.sources import Source
from dataset_svc.domain.taxonomy import Part


class Credentials(BaseModel):
    """Secrets by name: `access_key_id` and `secret_access_key` of S3, `user_name` and `password` of Swift."""

    model_config = ConfigDict(extra="forbid")

    credentials: dict[str, SecretStr] = Field(default_factory=dict, max_length=8)

    def plain(self) -> dict[str, str]:
        """The secrets themselves."""
        return {name: secret.get_secret_value() for name, secret in self.credentials.items()}


class CreateSource(Credentials):
    """A place where data lies."""

    name: str
    description: str = ""
    connection: Connection


class ImportFromSource(BaseModel):
    """What lies in a source now is to become a version."""

    model_config = ConfigDict(extra="forbid")

    source_id: str
    part: Part = Part.TRAIN
    prefix: str = Field(default="", description="Below the source's own prefix")


class SourceOut(BaseModel):
    """A source. Of its credentials only the names are told."""

    id: str
    name: str
    description: str
    owner: str
    connection: dict[str, Any]
    credentials: list[str]
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, source: Source) -> SourceOut:
        """The source without its secrets."""
        plain = {name: getattr(source, name) for name in cls.model_fields.keys() - {"credentials"}}
        return cls(**plain, credentials=list(source.credentials))


class FoundOut(BaseModel):
    """One file that lies there: path below the prefix, size in bytes."""

    path: str
    size: int

    @classmethod
    def of(cls, found: Found) -> FoundOut:
        """The file."""
        return cls(path=found.path, size=found.size)
