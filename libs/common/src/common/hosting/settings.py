"""What can be set for a service that runs alone, by environment (`YARD_…`). Embedded has the first half of it.

Each field's docstring is what `--help` and docs/guides/configuration.md say.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
from enum import Flag, auto
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.kernel.accelerators import parse_accelerators
from common.kernel.errors import Invalid
from common.sources.roots import SharedRoots

PREFIX = "YARD_"
PLACEHOLDER = "{service}"

_DATABASES = ("postgresql+asyncpg", "sqlite+aiosqlite")


class Needs(Flag):
    """What a service needs besides its database and the bus.

    `FILES`: the file store. `ENGINES`: it builds engines. `WORKLOADS`: it runs workloads.
    """

    NOTHING = 0
    FILES = auto()
    ENGINES = auto()
    WORKLOADS = auto()


class MachineSettings(BaseSettings):
    """What is set in the same way for a service alone and for the embedded platform."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", use_attribute_docstrings=True, hide_input_in_errors=True
    )

    home: Path = Path(".yard")
    """The state folder of this machine. Services on one machine that share workloads share it."""
    host: str = "127.0.0.1"
    """The address to listen on. Anything but loopback opens it to the network."""
    port: int = Field(default=8000, ge=0, le=65535)
    """The port to listen on; 0 takes a free one."""
    operator_host: str = "127.0.0.1"
    """The address of the operator's listener."""
    operator_port: int | None = Field(default=None, ge=0, le=65535)
    """The port of the operator's listener, which has `/metrics` besides `/healthz` and `/readyz`. Unset: there is no
    such listener, and no `/metrics`."""
    runtime_url: str = ""
    """What runs workloads: `process:/folder`, or `docker:` with an address such as `docker:unix:///var/run/docker.sock`
    and options such as `?base=python:3.12-slim` (see the guide to Docker). Unset: `process:` below the state folder."""
    inventory_url: str = ""
    """Which nodes and devices there are: `runtime:` as the runtime tells (this machine, or Docker's), `local:` this
    machine, or `file:/path` as a YAML or JSON file declares (see the guide to scheduling). Unset: `runtime:`."""
    accelerators: str = ""
    """Kinds of accelerators besides `gpu` (`nvidia.com/gpu`) and `npu` (`huawei.com/Ascend910`): JSON by their vendors'
    resource names, with the variables that show devices to code, such as
    `{"amd.com/gpu": {"kind": "rocm", "variables": ["ROCR_VISIBLE_DEVICES"]}}`."""
    engine_cache: Path | None = None
    """Where built engines are kept, to share them between state folders; in the state folder unless set."""
    simulated_gpus: int = Field(default=0, ge=0, le=64)
    """Simulated GPUs to declare, for trying things out; they are marked as simulated wherever they show."""
    staging_cache_bytes: int = Field(default=20 << 30, ge=0)
    """How much the cache of staged folders may hold when nothing uses it."""
    shared_roots: dict[str, Path] = {}
    """Shared file systems of this machine by name, such as `{"lab": "/mnt/lab"}`: folders that every user may import
    from, and mount into jobs as they are (then every machine that runs jobs has them at the same place)."""
    writable_roots: tuple[str, ...] = ()
    """The names of those that jobs may also write to, such as `["lab"]`; the others are mounted read-only."""
    stop_seconds: float = Field(default=5.0, ge=0)
    """How long requests in flight may go on when the process is told to stop."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_format: Literal["json", "text"] = "json"
    """One JSON object a line, or text for people."""

    @field_validator("accelerators")
    @classmethod
    def _kinds(cls, value: str) -> str:
        try:
            parse_accelerators(value)
        except Invalid as wrong:
            raise ValueError(wrong.detail) from wrong
        return value

    @model_validator(mode="after")
    def _writable_ones_are_there(self) -> MachineSettings:
        self.shared  # noqa: B018  (raises)
        return self

    @property
    def shared(self) -> SharedRoots:
        """The shared file systems."""
        return SharedRoots(self.shared_roots, frozenset(self.writable_roots))

    @property
    def engines(self) -> Path:
        """Where built engines are kept."""
        return (self.engine_cache or self.home / "engines").absolute()


class Settings(MachineSettings):
    """The settings of a service that runs alone; its own stand beside them (`TRAIN_…` and so on)."""

    instance: str = ""
    """What this process is called among others of its service; a new name each time unless set. Never give one name to
    two that run at the same time."""
    database_url: SecretStr
    """Where databases are, one for each service: `postgresql+asyncpg://user:password@host:5432/{service}`. The name of
    train-svc's is then `train_svc`, and that of its learning curves `train_svc_metrics`."""
    database_pool: int = Field(default=5, ge=1, le=100)
    """Connections to each database that are kept; as many more are made while they are needed."""
    bus_url: SecretStr
    """The broker: `amqp://user:password@host:5672/vhost`."""
    files_url: str = ""
    """The file store: `s3://bucket/prefix?endpoint=http://host:port`, or `file:/folder` where all services are on one
    machine (then below the state folder unless set). More for S3: `region=`, `public=` (the endpoint for holders of
    links), `timeout=` (seconds for an answer, 10 unless set), `part_copy=no` and `flat=no` (for rclone)."""
    s3_key: str = ""
    """The access key of the S3 server."""
    s3_secret: SecretStr = SecretStr("")
    """The secret that belongs to it."""
    keys: Path | None = None
    """The folder of keys, with `public/` for all services to read; in the state folder unless set."""
    private_keys: Path | None = None
    """The folder of this service's private key; `private/` in the folder of keys unless set."""
    services: str = "http://{service}:8000"
    """Where the other services are: one address for all with `{service}` in it, or JSON by name."""
    drain_seconds: float = Field(default=0.0, ge=0)
    """How long it goes on taking requests after `/readyz` began to say that it stops, for load balancers to notice."""

    @field_validator("database_url")
    @classmethod
    def _a_database_for_each(cls, value: SecretStr) -> SecretStr:
        scheme, _, rest = value.get_secret_value().partition("://")
        if scheme == "postgresql":
            value = SecretStr(f"postgresql+asyncpg://{rest}")
        elif scheme not in _DATABASES:
            raise ValueError(f"begins with one of {', '.join(_DATABASES)}, then ://")
        if PLACEHOLDER not in rest:
            raise ValueError(f"has {PLACEHOLDER} where the name of the database goes: every service has its own")
        return value

    @field_validator("bus_url")
    @classmethod
    def _a_bus_that_reaches_others(cls, value: SecretStr) -> SecretStr:
        scheme = value.get_secret_value().partition(":")[0]
        if scheme == "memory":
            raise ValueError(
                "memory: reaches nobody outside its process, and a service alone must reach the others; give amqp://…, "
                "or run all services in one process: python -m embedded serve"
            )
        if scheme not in ("amqp", "amqps"):
            raise ValueError("is an address such as amqp://user:password@host:5672/vhost")
        return value

    @field_validator("files_url")
    @classmethod
    def _a_store_of_files(cls, value: str) -> str:
        address = urlsplit(value)
        if address.scheme == "s3" and not (address.hostname and "endpoint=" in address.query):
            raise ValueError("names bucket and endpoint, such as s3://bucket/prefix?endpoint=http://host:9000")
        if address.scheme not in ("", "s3", "file"):
            raise ValueError("begins with s3: or file:")
        return value

    @field_validator("services")
    @classmethod
    def _addresses(cls, value: str) -> str:
        places = list(_by_name(value).values()) if value.lstrip().startswith('{"') else [value]
        if any(not re.match(r"https?://[^/]", place) for place in places):
            raise ValueError('is http://{service}:8000 or the like, or JSON such as {"train-svc": "http://host:1"}')
        return value

    @model_validator(mode="after")
    def _a_name_and_credentials(self) -> Settings:
        if self.files_url.startswith("s3:") and not (self.s3_key and self.s3_secret.get_secret_value()):
            raise ValueError("YARD_FILES_URL is an S3 server: set YARD_S3_KEY and YARD_S3_SECRET")
        if not self.instance:  # by chance: hosts' names and process numbers can be the same in two containers
            self.instance = f"{socket.gethostname()[:48]}-{secrets.token_hex(4)}"
        return self

    def database_of(self, name: str) -> str:
        """The URL of the database of that name, such as `train-svc`."""
        return self.database_url.get_secret_value().replace(PLACEHOLDER, name.replace("-", "_"))

    def address_of(self, service: str) -> str | None:
        """Where another service is; None where nothing says so."""
        if self.services.lstrip().startswith('{"'):
            return _by_name(self.services).get(service)
        return self.services.replace(PLACEHOLDER, service)


def _by_name(text: str) -> dict[str, str]:
    """Addresses by service. Raises ValueError where it is anything else."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}") from error
    return {str(name): str(address) for name, address in found.items()}
