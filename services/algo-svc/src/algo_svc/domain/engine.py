"""An engine: a framework and version that runs code bringing no image of its own (row A11)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from common.contracts.shared import EngineRef
from common.kernel.errors import Fault
from common.kernel.names import raise_faults
from common.kernel.states import Transitions

MOST_REQUIREMENTS = 200

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._ -]*\])?\s*([<>=!~]=?|===).+")


class EngineBuild(StrEnum):
    """How building stands, as far as this service asked for it."""

    ABSENT = "absent"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


TRANSITIONS = Transitions(
    "engine",
    EngineBuild.ABSENT,
    {
        (EngineBuild.ABSENT, "build"): EngineBuild.BUILDING,
        (EngineBuild.BUILDING, "build"): EngineBuild.BUILDING,
        (EngineBuild.BUILDING, "finish"): EngineBuild.READY,
        (EngineBuild.BUILDING, "fail"): EngineBuild.FAILED,
        (EngineBuild.FAILED, "build"): EngineBuild.BUILDING,
        (EngineBuild.READY, "build"): EngineBuild.BUILDING,
    },
)


@dataclass(frozen=True)
class Engine:
    """One engine; its name is its id. `release` is the framework's version, `python` the interpreter's (PEP 440)."""

    id: str
    owner: str
    framework: str
    release: str
    requirements: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    python: str = ">=3.11"
    state: EngineBuild = EngineBuild.ABSENT
    version: int = 1
    digest: str = ""
    detail: str = ""

    @property
    def name(self) -> str:
        """The name by which algorithms choose it."""
        return self.id

    def ref(self) -> EngineRef:
        """What an algorithm keeps of it: enough to build it anywhere."""
        return EngineRef(name=self.id, framework=self.framework, version=self.release, requirements=self.requirements)

    def moved(self, verb: str, detail: str = "", digest: str = "") -> Engine:
        """After that verb. Raises Conflict (`illegal_state`)."""
        return replace(self, state=TRANSITIONS.move(self.state, verb), detail=detail, digest=digest or self.digest)


def check_engine(name: str, framework: str, release: str, requirements: Sequence[str]) -> None:
    """Raise Invalid (`invalid_engine`) with every fault. Requirements are names with versions (PEP 508): an address
    or an installer's option could fetch from anywhere."""
    raise_faults("engine", _faults(name, framework, release, requirements))


def _faults(name: str, framework: str, release: str, requirements: Sequence[str]) -> Iterator[Fault]:
    if not _NAME.fullmatch(name):
        yield Fault(
            "name", "An engine's name has 1 to 48 of a-z, 0-9, '.', '_', '-', and starts with none of the last."
        )
    for where, text in (("framework", framework), ("version", release)):
        if not text.strip() or len(text) > 48 or not text.isprintable():
            yield Fault(where, "Give 1 to 48 printable characters.")
    if len(requirements) > MOST_REQUIREMENTS:
        yield Fault("requirements", f"Give at most {MOST_REQUIREMENTS} requirements; none means Python alone.")
    for number, line in enumerate(requirements):
        if not _REQUIREMENT.fullmatch(line) or "://" in line or "\n" in line or "@" in line or len(line) > 200:
            yield Fault(f"requirements.{number}", f"{line[:60]!r}: write a package with a version, as in numpy==2.4.6.")
