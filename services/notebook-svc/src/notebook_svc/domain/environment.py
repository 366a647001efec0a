"""A base environment: a framework in a version, for a kind of device, that projects start from (seed 002 §2.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from common.contracts.shared import Visibility
from common.kernel.errors import Fault
from common.kernel.names import description_faults, name_faults, raise_faults
from common.kernel.states import Transitions

DEVICES = ("cpu", "gpu", "npu")

_FRAMEWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}")
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")


class EnvironmentState(StrEnum):
    """`defined`: described, without an image yet."""

    DEFINED = "defined"


TRANSITIONS = Transitions("environment", EnvironmentState.DEFINED, {}, final=[EnvironmentState.DEFINED])


@dataclass(frozen=True)
class Environment:
    """One base environment. `release` is the framework's version; `version` counts changes of the row."""

    id: str
    name: str
    owner: str
    framework: str
    release: str
    device: str
    created_at: datetime
    updated_at: datetime
    description: str = ""
    visibility: Visibility = Visibility.PRIVATE
    state: EnvironmentState = EnvironmentState.DEFINED
    version: int = 1

    def __post_init__(self) -> None:
        """Raises Invalid (`invalid_environment`) with a fault for everything that is wrong."""
        raise_faults("environment", self._faults())

    @property
    def shared(self) -> bool:
        """Whether others than the owner may see and use it."""
        return self.visibility != Visibility.PRIVATE

    def edited(self, **changes: Any) -> Environment:
        """With these fields changed, and checked again."""
        return replace(self, **changes)

    def _faults(self) -> Iterator[Fault]:
        yield from name_faults(self.name)
        yield from description_faults(self.description)
        if not _FRAMEWORK.fullmatch(self.framework):
            yield Fault("framework", "Name it in 1 to 40 letters, digits, spaces or . _ + -, such as PyTorch.")
        if not _RELEASE.fullmatch(self.release):
            yield Fault("framework_version", "Give its version in 1 to 40 letters, digits or . _ + -, such as 2.13.")
        if self.device not in DEVICES:
            yield Fault("device", f"Choose one of {', '.join(DEVICES)}.")
