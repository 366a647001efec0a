"""What can be set for dataset-svc, by environment (`DATASET_…`). Sizes in bytes, times in seconds."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.sources import Egress

_MIB = 1 << 20
_GIB = 1 << 30


class Settings(BaseSettings):
    """dataset-svc's settings."""

    model_config = SettingsConfigDict(env_prefix="DATASET_", extra="ignore", use_attribute_docstrings=True)

    part_bytes: int = Field(default=16 * _MIB, ge=1)
    """Bytes of one part of an upload, where the whole is not so large that it needs larger ones."""
    upload_bytes: int = Field(default=512 * _GIB, ge=1)
    """Bytes that an uploaded archive may have."""
    upload_ttl: float = Field(default=7 * 24 * 3600.0, gt=0)
    """Seconds after its last part when an upload that nobody completed is given up."""
    link_seconds: int = Field(default=3600, ge=60, le=7 * 24 * 3600)
    """Seconds for which a link straight to the file store holds that a part of an upload is sent by."""
    imports_at_once: int = Field(default=2, ge=1)
    """How many imports may run at the same time; of one dataset it is always one."""
    import_seconds: float = Field(default=4 * 3600.0, gt=0)
    """Seconds that an import may take to read its archive, and before that to fetch the files of a source."""
    source_seconds: float = Field(default=900.0, gt=0)
    """Seconds for which an import waits for a source that does not answer."""
    import_memory: int = Field(default=2 * _GIB, ge=64 * _MIB)
    """Bytes of address space of the process that unpacks an archive."""
    import_uid: int | None = 65534
    """The user that this process becomes where the platform runs as root; none: it stays root."""
    scratch: Path | None = None
    """Where archives are unpacked; best on the disk of the file store. None: below the platform's state folder."""
    entries: int = Field(default=2_000_000, ge=1)
    """Files and folders that an archive may have."""
    unpacked_bytes: int = Field(default=512 * _GIB, ge=1)
    """Bytes that an archive may have when it is unpacked."""
    file_bytes: int = Field(default=32 * _GIB, ge=1)
    """Bytes that one file in an archive may have."""
    depth: int = Field(default=32, ge=1)
    """Parts that the name of a file in an archive may have: all of its folders, and its own."""
    ratio: float = Field(default=100.0, gt=1)
    """How many times its size an archive may unpack to; one file of a zip three times as much. Up to 4 MiB
    it may be more."""
    whole_bytes: int = Field(default=32 * _MIB, ge=_MIB)
    """Bytes up to which an annotation file is read whole, and above which a text with annotations is refused."""
    pack_bytes: int = Field(default=256 * _MIB, ge=1)
    """Bytes of the objects that many small files are packed into."""
    min_classes: int = Field(default=2, ge=1)
    """Class folders that a dataset in format `dir` must have."""
    source_networks: tuple[str, ...] = ()
    """Networks inside the platform's own that external sources may lie in, such as `10.1.0.0/16`; every address in the
    open internet may be reached anyway."""
    shared_roots: dict[str, Path] = {}
    """Shared file systems by name, such as `{"lab": "/mnt/lab"}`: folders of this machine whose files every user may
    import."""
    secret_keys: tuple[SecretStr, ...] = ()
    """Fernet keys for the credentials of sources: the first encrypts, all decrypt. Without any, one that follows from
    the service's private key is used."""
    sets_at_once: int = Field(default=1, ge=1)
    """How many formatted sets may be built at the same time."""
    shard_bytes: int = Field(default=256 * _MIB, ge=1)
    """Bytes after which a formatted set of many files begins its next."""
    cache_bytes: int = Field(default=_GIB, ge=_MIB)
    """Bytes of thumbnails, and of indexes by which names are found, that are kept on this machine."""
    thumbnail_bytes: int = Field(default=64 * _MIB, ge=1)
    """Bytes of an image file up to which a thumbnail is made of it."""
    thumbnail_memory: int = Field(default=_GIB, ge=64 * _MIB)
    """Bytes of address space of the process that makes thumbnails."""
    thumbnail_seconds: float = Field(default=10.0, gt=0)
    """Seconds that making one may take."""
    tidy_seconds: float = Field(default=30.0, gt=0)
    """How often uploads that are too old, and files that nobody needs, are looked for."""
    more_purposes: tuple[str, ...] = ()
    """Purposes besides the known ones, such as `audio/classification`."""

    @field_validator("source_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        Egress.of(value)
        return value
