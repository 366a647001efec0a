"""Images and engines: what code runs in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class EngineState(StrEnum):
    """How the building of an engine stands."""

    ABSENT = "absent"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class EngineSpec:
    """A named environment: its digest follows from `python` and `requirements` alone, so equal ones are shared."""

    name: str
    requirements: tuple[str, ...]
    python: str = ">=3.11"


@dataclass(frozen=True)
class EngineStatus:
    """`progress` from 0 to 1; `detail` the present step, or why it failed. Where ready, `path` is the folder of the
    environment, or `image` the container image that has it, as the runtime beside it wants."""

    state: EngineState
    digest: str
    progress: float = 0.0
    detail: str = ""
    path: Path | None = None
    image: str | None = None


class Engines(Protocol):
    """Builds engines once and keeps them by digest."""

    async def status(self, spec: EngineSpec) -> EngineStatus:
        """How it stands, without building it."""
        ...

    async def ensure(self, spec: EngineSpec, progress: Callable[[EngineStatus], None] | None = None) -> EngineStatus:
        """Build it unless it is there; equal requests at once share one build, also across processes.

        Raises Problem (`engine_failed`) with the last lines of the installer.
        """
        ...
