"""Who may do what with a dataset, decided in one place: deleted ones are as absent as others' private ones."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from common.contracts.shared import Visibility
from common.kernel.errors import Forbidden
from common.web.access import require_change, require_see
from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.domain.dataset import Dataset


async def to_see(connection: AsyncConnection, who: Principal, dataset_id: str) -> Dataset:
    """The dataset, if the caller may see it. Raises NotFound (`dataset_not_found`)."""
    dataset = await storage.living(connection, dataset_id)
    require_see(who, "dataset", dataset.id, dataset.owner, dataset.shared)
    return dataset


async def to_change(connection: AsyncConnection, who: Principal, dataset_id: str) -> Dataset:
    """The dataset, if the caller may change it. Raises NotFound, Forbidden (`not_owner`)."""
    dataset = await storage.living(connection, dataset_id)
    require_change(who, "dataset", dataset.id, dataset.owner, dataset.shared)
    return dataset


def check_visibility(who: Principal, before: Visibility, after: Visibility) -> None:
    """Only an administrator makes a dataset a preset, or takes that back (seed 002 §2.1.7).

    Raises Forbidden (`admin_only`).
    """
    if Visibility.PRESET in (before, after) and before != after and not who.is_admin:
        raise Forbidden("admin_only", "Only an administrator can set the visibility 'preset' or take it back.")
