"""Which datasets and algorithms a job can use: from what was heard, and from the owner where that is not enough.

So jobs can be submitted while the owner is down (design §4, independence).
"""

from __future__ import annotations

from typing import TypeVar

from common.contracts.algorithm import AlgorithmSnapshot
from common.contracts.dataset import DatasetSnapshot
from common.contracts.shared import Visibility
from common.db.aggregates import missing
from common.db.readmodels import recall
from common.kernel.errors import NotFound, Problem, Unavailable
from common.kernel.ids import is_id
from common.service import Kit
from common.web.access import may_see
from common.web.identity import Principal
from train_svc.domain.errors import AlgorithmOffline, DatasetOffline

S = TypeVar("S", DatasetSnapshot, AlgorithmSnapshot)

DATASET, ALGORITHM = "dataset", "algorithm"


async def dataset_for(kit: Kit, who: Principal, dataset_id: str, after: int | None = None) -> DatasetSnapshot:
    """The dataset as it may be used. `after`: a version that the asker has seen, so what was heard may be old.

    Raises NotFound (`dataset_not_found`), DatasetOffline (`dataset_offline`), Unavailable where it is not known here
    and its owner can't be reached.
    """
    found = await _find(kit, DATASET, dataset_id, DatasetSnapshot, "dataset-svc", "datasets", after)
    _require_visible(who, DATASET, found)
    if not found.online:
        raise DatasetOffline(found.id, found.name)
    return found


async def algorithm_for(kit: Kit, who: Principal, algorithm_id: str, after: int | None = None) -> AlgorithmSnapshot:
    """The algorithm as it may be used. Raises as `dataset_for`, with `algorithm_not_found`, `algorithm_offline`."""
    found = await _find(kit, ALGORITHM, algorithm_id, AlgorithmSnapshot, "algo-svc", "algorithms", after)
    _require_visible(who, ALGORITHM, found)
    if not found.online:
        raise AlgorithmOffline(found.id, found.name)
    return found


async def _find(
    kit: Kit, kind: str, item_id: str, model: type[S], service: str, collection: str, after: int | None
) -> S:
    if not is_id(item_id):
        raise missing(kind, item_id)
    async with kit.store.reading() as connection:
        known = await recall(connection, kind, item_id, model)
    if known is not None and known.online and after is None:
        return known
    try:
        return model.model_validate(await kit.calls.get(service, f"/api/v1/{collection}/{item_id}/snapshot"))
    except Unavailable:
        if known is None:
            raise
        return known
    except Problem as problem:
        if problem.status == NotFound.status:
            raise missing(kind, item_id) from problem
        raise


def _require_visible(who: Principal, kind: str, found: DatasetSnapshot | AlgorithmSnapshot) -> None:
    shared = found.online and found.visibility != Visibility.PRIVATE
    if not may_see(who, found.owner, shared):
        raise missing(kind, found.id)
