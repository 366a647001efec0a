"""What notebook-svc's routes take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from common.contracts.shared import Visibility
from notebook_svc.domain.environment import Environment


class _Strict(BaseModel):
    """A request: a field that nobody knows is a fault, so that a misspelt one isn't silently dropped."""

    model_config = ConfigDict(extra="forbid")


class EnvironmentIn(_Strict):
    """A new base environment."""

    name: str
    framework: str
    framework_version: str
    device: str = "cpu"
    description: str = ""
    visibility: Visibility = Visibility.PRIVATE

    def fields(self) -> dict[str, Any]:
        """As the domain names them."""
        return _fields(self.model_dump())


class EnvironmentPatch(_Strict):
    """What is to change."""

    name: str | None = None
    framework: str | None = None
    framework_version: str | None = None
    device: str | None = None
    description: str | None = None

    def changes(self) -> dict[str, Any]:
        """The fields that were sent, as the domain names them."""
        return _fields(self.model_dump(exclude_none=True))


class VisibilityIn(_Strict):
    """Who may see and use it."""

    visibility: Visibility


class EnvironmentOut(BaseModel):
    """A base environment."""

    id: str
    name: str
    owner: str
    state: str
    version: int
    visibility: Visibility
    framework: str
    framework_version: str
    device: str
    description: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, item: Environment) -> EnvironmentOut:
        """As it is now."""
        same = {name: getattr(item, name) for name in cls.model_fields if name != "framework_version"}
        return cls(**same, framework_version=item.release)


def _fields(sent: dict[str, Any]) -> dict[str, Any]:
    return {("release" if name == "framework_version" else name): value for name, value in sent.items()}
