"""A base environment: a framework in a version, for a kind of device, that projects start from (seed 002 §2.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from common.contracts.shared import Visibility
from common.kernel.accelerators import Accelerator
from common.kernel.errors import Fault
from common.kernel.names import description_faults, name_faults, raise_faults
from common.kernel.states import Transitions

CPU = "cpu"
"""The device of an environment that needs no accelerator."""

_FRAMEWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}")
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")


class EnvironmentState(StrEnum):
    """`defined`: described, without an image yet."""

    DEFINED = "defined"


TRANSITIONS = Transitions("environment", EnvironmentState.DEFINED, {}, final=[EnvironmentState.DEFINED])


@dataclass(frozen=True)
class Environment:
    """One base environment. `release` is the framework's version; `version` counts changes of the row. `device` is
    `cpu`, or a kind of accelerator by its short name."""

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

    @property
    def shared(self) -> bool:
        """Whether others than the owner may see and use it."""
        return self.visibility != Visibility.PRIVATE

    def edited(self, **changes: Any) -> Environment:
        """With these fields changed."""
        return replace(self, **changes)

    def checked(self, kinds: Iterable[Accelerator]) -> Environment:
        """This one, for a platform with these kinds of accelerators; the vendor's name of one becomes the short one.

        Raises Invalid (`invalid_environment`) with a fault for everything that is wrong.
        """
        names = {name: one.kind for one in kinds for name in (one.kind, one.resource)} | {CPU: CPU}
        raise_faults("environment", self._faults(names))
        return replace(self, device=names[self.device])

    def _faults(self, names: Mapping[str, str]) -> Iterator[Fault]:
        yield from name_faults(self.name)
        yield from description_faults(self.description)
        if not _FRAMEWORK.fullmatch(self.framework):
            yield Fault("framework", "Name it in 1 to 40 letters, digits, spaces or . _ + -, such as PyTorch.")
        if not _RELEASE.fullmatch(self.release):
            yield Fault("framework_version", "Give its version in 1 to 40 letters, digits or . _ + -, such as 2.13.")
        if self.device not in names:
            yield Fault("device", f"Choose one of {', '.join(sorted(set(names.values())))}.")
