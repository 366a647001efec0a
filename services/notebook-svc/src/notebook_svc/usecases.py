"""What can be done with base environments: one function a verb, each within the caller's unit of work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from common.contracts.shared import Visibility
from common.db.uow import UnitOfWork
from common.kernel.accelerators import Accelerator
from common.kernel.errors import Forbidden
from common.kernel.ids import new_id
from common.web.access import require_change
from common.web.identity import Principal
from notebook_svc.domain.environment import Environment
from notebook_svc.storage import ENVIRONMENTS

Kinds = Iterable[Accelerator]
"""The kinds of accelerators that this platform may have."""


async def create(uow: UnitOfWork, who: Principal, kinds: Kinds, **fields: Any) -> Environment:
    """A new base environment (row E1). Raises Invalid with everything that is wrong."""
    _check_visibility(who, fields["visibility"])
    now = uow.clock.now()
    environment = Environment(id=new_id("env"), owner=who.id, created_at=now, updated_at=now, **fields).checked(kinds)
    await ENVIRONMENTS.add(uow.connection, environment)
    return environment


async def edit(uow: UnitOfWork, who: Principal, kinds: Kinds, environment_id: str, **changes: Any) -> Environment:
    """Change what it says (rows E2, E6). Raises Invalid."""
    before = await _changeable(uow, who, environment_id)
    if (
        Visibility.PRESET in (changes.get("visibility", before.visibility), before.visibility)
        and "visibility" in changes
    ):
        _check_visibility(who, Visibility.PRESET)
    return await ENVIRONMENTS.save(uow.connection, before.edited(**changes).checked(kinds), now=uow.clock.now())


async def remove(uow: UnitOfWork, who: Principal, environment_id: str) -> None:
    """Delete it (row E4)."""
    await ENVIRONMENTS.remove(uow.connection, (await _changeable(uow, who, environment_id)).id)


async def _changeable(uow: UnitOfWork, who: Principal, environment_id: str) -> Environment:
    found = await ENVIRONMENTS.get(uow.connection, environment_id)
    require_change(who, "environment", found.id, found.owner, found.shared)
    return found


def _check_visibility(who: Principal, visibility: Visibility) -> None:
    """Only an administrator says that a thing is preset (seed 002 §2.1.7)."""
    if visibility == Visibility.PRESET and not who.is_admin:
        raise Forbidden("preset_admin_only", "Only an administrator may make a thing preset, or end that.")
