"""Which datasets and algorithms a job can use: from what was heard, and from the owner where that is not enough.

So jobs can be submitted while the owner is down (design §4, independence).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

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


@dataclass(frozen=True)
class Wanted:
    """What a job is to use. `dataset_after`, `algorithm_after`: versions that the asker has seen, so what was heard
    here may be older."""

    algorithm_id: str
    dataset_id: str
    algorithm_after: int | None = None
    dataset_after: int | None = None


async def usable(kit: Kit, who: Principal, wanted: Wanted) -> tuple[AlgorithmSnapshot, DatasetSnapshot]:
    """Algorithm and dataset, as they may be used.

    Raises NotFound (`algorithm_not_found`, `dataset_not_found`), AlgorithmOffline, DatasetOffline, and Unavailable
    where one is not known here and its owner can't be reached.
    """
    async with kit.store.reading() as connection:
        heard_algorithm = await recall(connection, ALGORITHM, wanted.algorithm_id, AlgorithmSnapshot)
        heard_dataset = await recall(connection, DATASET, wanted.dataset_id, DatasetSnapshot)
    algorithm = await _newest(kit, _ALGORITHMS, wanted.algorithm_id, heard_algorithm, wanted.algorithm_after)
    _require_visible(who, ALGORITHM, algorithm)
    if not algorithm.online:
        raise AlgorithmOffline(algorithm.id, algorithm.name)
    dataset = await _newest(kit, _DATASETS, wanted.dataset_id, heard_dataset, wanted.dataset_after)
    _require_visible(who, DATASET, dataset)
    if not dataset.online:
        raise DatasetOffline(dataset.id, dataset.name)
    return algorithm, dataset


@dataclass(frozen=True)
class _Owner(Generic[S]):
    """Who to ask for a kind of thing."""

    kind: str
    model: type[S]
    service: str
    collection: str


_ALGORITHMS = _Owner(ALGORITHM, AlgorithmSnapshot, "algo-svc", "algorithms")
_DATASETS = _Owner(DATASET, DatasetSnapshot, "dataset-svc", "datasets")


async def _newest(kit: Kit, owner: _Owner[S], item_id: str, heard: S | None, after: int | None) -> S:
    """What was heard, where that is enough; else what the owner says, asked once."""
    if heard is not None and heard.online and after is None:
        return heard
    if not is_id(item_id):
        raise missing(owner.kind, item_id)
    try:
        told = await kit.calls.get(owner.service, f"/api/v1/{owner.collection}/{item_id}/snapshot")
    except Unavailable:
        if heard is None:
            raise
        return heard
    except Problem as problem:
        if problem.status == NotFound.status:
            raise missing(owner.kind, item_id) from problem
        raise
    return owner.model.model_validate(told)


def _require_visible(who: Principal, kind: str, found: DatasetSnapshot | AlgorithmSnapshot) -> None:
    shared = found.online and found.visibility != Visibility.PRIVATE
    if not may_see(who, found.owner, shared):
        raise missing(kind, found.id)
