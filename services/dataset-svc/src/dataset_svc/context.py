"""What dataset-svc's rooms share: its part of the platform, its settings, and what this process knows of imports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from common.db.uow import Store
from common.ports.files import Files
from common.service import Kit
from common.sources import Egress, SecretBox
from dataset_svc.importing import ChildLimits, Progress
from dataset_svc.looking.cache import NodeCache
from dataset_svc.looking.thumbnails import MakerLimits, Makers
from dataset_svc.settings import Settings


def _nobody() -> None:
    """Nobody listens yet."""


@dataclass(frozen=True)
class Context:
    """`progress` is that of the imports which this very process works at, by id."""

    kit: Kit
    settings: Settings
    progress: dict[str, Progress] = field(default_factory=dict)
    bells: dict[str, Callable[[], None]] = field(default_factory=dict)
    comparing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def store(self) -> Store:
        """The service's database."""
        return self.kit.store

    @property
    def files(self) -> Files:
        """The platform's file store."""
        return self.kit.platform.files

    @cached_property
    def secrets(self) -> SecretBox:
        """What seals credentials."""
        keys = [key.get_secret_value() for key in self.settings.secret_keys]
        return SecretBox(keys, self.kit.signer.key)

    @cached_property
    def egress(self) -> Egress:
        """Which addresses of sources may be reached."""
        return Egress.of(self.settings.source_networks)

    @property
    def scratch(self) -> Path:
        """The folder in which archives are unpacked."""
        return self.settings.scratch or self.kit.platform.home / "scratch" / self.kit.service

    @property
    def comparisons(self) -> Path:
        """The folder of this machine in which versions are compared."""
        return self.scratch.with_name(f"{self.scratch.name}-compared")

    @cached_property
    def cache(self) -> NodeCache:
        """What is kept on this machine of what can be made again."""
        folder = self.kit.platform.home / "cache" / self.kit.service
        return NodeCache(folder, self.settings.cache_bytes)

    @cached_property
    def makers(self) -> Makers:
        """The processes that make thumbnails."""
        settings = self.settings
        child = ChildLimits(memory=settings.thumbnail_memory, uid=settings.import_uid)
        return Makers(MakerLimits(child, settings.thumbnail_seconds))

    def ring(self) -> None:
        """There is work for the loop of imports: don't wait for the timer."""
        self.bells.get("imports", _nobody)()

    def ring_sets(self) -> None:
        """There is work for the loop of formatted sets."""
        self.bells.get("sets", _nobody)()


async def context_of(request: Request) -> Context:
    """FastAPI dependency: the context that the app carries."""
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(context_of)]
