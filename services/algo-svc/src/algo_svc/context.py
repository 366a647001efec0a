"""What algo-svc's routes and loops work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from algo_svc.packages import PackageLimits
from algo_svc.settings import Settings
from common.service import Kit


@dataclass(frozen=True)
class Context:
    """The service's share of the platform, its settings, and how to wake the loop that builds engines."""

    kit: Kit
    settings: Settings
    wake_builds: Callable[[], None]

    @property
    def limits(self) -> PackageLimits:
        """What a code package may hold."""
        return PackageLimits(self.settings.package_entries, self.settings.unpacked_bytes, self.settings.package_ratio)


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(_context)]
