"""What the gateway's own routes take and answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from common.web.dead import Letter, Replay

Password = Annotated[SecretStr, Field(max_length=1000)]
RoleName = Literal["admin", "user"]


class Body(BaseModel):
    """A request's body: what nobody knows is refused rather than ignored."""

    model_config = ConfigDict(extra="forbid")


class UserView(BaseModel):
    """A user as others see them."""

    id: str
    name: str
    owner: str
    role: RoleName
    state: str
    groups: list[str] = []
    version: int
    created_at: datetime
    updated_at: datetime


class LoginRequest(Body):
    """A name and its password."""

    name: str = Field(min_length=1, max_length=255)
    password: Password


class Login(BaseModel):
    """A login: send `token` as `Authorization: Bearer …` until it expires."""

    token: str
    expires_at: datetime
    user: UserView


class UserCreate(Body):
    """A new user; without a password one is made and answered, once."""

    name: str = Field(max_length=255)
    password: Password | None = None
    role: RoleName = "user"


class UserMade(UserView):
    """A new user, with the password where it was made here: it is shown this once."""

    password: str | None = None


class RoleChange(Body):
    """Another role."""

    role: RoleName


class GroupsChange(Body):
    """The groups that somebody is in from now on, and no others; work waits in the queue of the first that has one."""

    groups: list[str] = Field(max_length=64)


class PasswordReset(Body):
    """A new password, set by an administrator."""

    password: Password


class PasswordChange(Body):
    """A new password, with the present one."""

    current: Password
    new: Password


class KeyCreate(Body):
    """A new API key; without `expires_at` it lasts until it is revoked."""

    name: str = Field(min_length=1, max_length=100)
    expires_at: datetime | None = None


class KeyView(BaseModel):
    """An API key, without its secret: `prefix` tells it from others."""

    id: str
    name: str
    owner: str
    state: str
    prefix: str
    expires_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class KeyMade(KeyView):
    """A new API key. `key` is shown this once, null where the request is a repeated one."""

    key: str | None = None


class Part(BaseModel):
    """One part of an aggregated view; `available` False with the reason where its service did not answer."""

    available: bool = True
    reason: str | None = None


class Counts(Part):
    """How many there are by state; `complete` False where counting stopped at a bound."""

    total: int = 0
    by_state: dict[str, int] = {}
    complete: bool = True


class Devices(BaseModel):
    """Devices of one kind."""

    total: int = 0
    used: int = 0
    simulated: int = 0


class Usage(Part):
    """What of the nodes is in use: CPUs in cores, memory in bytes, devices by kind."""

    nodes: int = 0
    cpu: float = 0.0
    cpu_used: float = 0.0
    memory: int = 0
    memory_used: int = 0
    devices: dict[str, Devices] = {}


class Overview(BaseModel):
    """The platform at a glance, as far as the caller may see it."""

    datasets: Counts
    algorithms: Counts
    jobs: Counts
    models: Counts
    services: Counts
    nodes: Usage


class Whole(Part):
    """A resource as its owner answers it; `item` null where there is none (any more)."""

    item: dict[str, Any] | None = None


class Services(Part):
    """The services that were made from a model."""

    items: list[dict[str, Any]] = []


class JobOverview(BaseModel):
    """A job with all that belongs to it."""

    job: dict[str, Any]
    dataset: Whole
    algorithm: Whole
    model: Whole
    services: Services


class Unanswered(BaseModel):
    """A service of which nothing, or not everything, can be told now."""

    service: str
    reason: str


class AllLetters(BaseModel):
    """A part of the dead letters of all services."""

    items: list[Letter] = []
    next_cursor: str | None = None
    unavailable: list[Unanswered] = []


class ReplayLetters(Replay):
    """Which to replay: some by their ids, or all, or with `service` all of that one."""

    service: str | None = None
