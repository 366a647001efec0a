"""Which datasets and algorithms a job can use: from what was heard, and from the owner where that is not enough.

So jobs can be submitted while the owner is down (design §4, independence).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from common.contracts.algorithm import AlgorithmSnapshot
from common.contracts.dataset import DatasetSnapshot, FormattedSetFacts
from common.contracts.shared import Visibility
from common.db.aggregates import missing
from common.db.readmodels import recall
from common.kernel.errors import NotFound, Problem, Unavailable
from common.kernel.ids import is_id
from common.service import Kit
from common.web.access import may_see
from common.web.identity import Principal
from train_svc.domain.errors import AlgorithmOffline, DatasetOffline
from train_svc.domain.job import JobRequest
from train_svc.domain.materials import Material, Part, ValidationRequest
from train_svc.domain.request import Used

S = TypeVar("S", DatasetSnapshot, AlgorithmSnapshot)

DATASET, ALGORITHM, FORMATTED = "dataset", "algorithm", "formatted_set"
SERVICE = "dataset-svc"


@dataclass(frozen=True)
class Wanted:
    """What a job is to use. `dataset_after`, `algorithm_after`: versions that the asker has seen, so what was heard
    here may be older."""

    algorithm_id: str
    dataset_id: str
    algorithm_after: int | None = None
    dataset_after: int | None = None
    formatted_set_id: str | None = None
    validation: ValidationRequest | None = None

    @classmethod
    def of(cls, request: JobRequest, algorithm_after: int | None = None, dataset_after: int | None = None) -> Self:
        """What a request names."""
        return cls(
            request.algorithm_id,
            request.dataset_id,
            algorithm_after,
            dataset_after,
            request.formatted_set_id,
            request.validation,
        )


async def usable(kit: Kit, who: Principal, wanted: Wanted) -> Used:
    """Algorithm, and what it trains and validates on, as they may be used.

    Raises NotFound (`algorithm_not_found`, `dataset_not_found`, `version_not_found`, `formatted_set_not_found`),
    AlgorithmOffline, DatasetOffline, Conflict (`set_not_ready`), and Unavailable where one is not known here and its
    owner can't be reached.
    """
    async with kit.store.reading() as connection:
        heard = await recall(connection, ALGORITHM, wanted.algorithm_id, AlgorithmSnapshot)
    algorithm = await _newest(kit, _ALGORITHMS, wanted.algorithm_id, heard, wanted.algorithm_after)
    _require_visible(who, ALGORITHM, algorithm)
    if not algorithm.online:
        raise AlgorithmOffline(algorithm.id, algorithm.name)
    if wanted.formatted_set_id:
        data = await _set(kit, who, wanted.formatted_set_id)
    else:
        data = Material(await _dataset(kit, who, wanted.dataset_id, wanted.dataset_after))
    return Used(algorithm, data, await _validation(kit, who, wanted.validation))


async def _validation(kit: Kit, who: Principal, asked: ValidationRequest | None) -> Material | None:
    if asked is None:
        return None
    if asked.formatted_set_id:
        return await _set(kit, who, asked.formatted_set_id)
    dataset = await _dataset(kit, who, asked.dataset_id or "")
    if asked.version is not None and (dataset.version is None or dataset.version.number != asked.version):
        path = f"/api/v1/datasets/{dataset.id}/snapshot"
        dataset = DatasetSnapshot.model_validate(await kit.calls.get(SERVICE, path, version=str(asked.version)))
    return Material(dataset, part=asked.part)


async def _dataset(kit: Kit, who: Principal, dataset_id: str, after: int | None = None) -> DatasetSnapshot:
    """An online dataset with its present version."""
    async with kit.store.reading() as connection:
        heard = await recall(connection, DATASET, dataset_id, DatasetSnapshot)
    dataset = await _newest(kit, _DATASETS, dataset_id, heard, after)
    _require_visible(who, DATASET, dataset)
    if not dataset.online:
        raise DatasetOffline(dataset.id, dataset.name)
    return dataset


async def _set(kit: Kit, who: Principal, set_id: str) -> Material:
    """A finished set. Its owner is asked, as no event tells of sets; what is not the asker's is as absent, also where
    it is not finished."""
    if not is_id(set_id):
        raise missing(FORMATTED, set_id)
    try:
        told = await kit.calls.get(SERVICE, f"/api/v1/formatted-sets/{set_id}/snapshot")
    except Problem as problem:
        absent = problem.status == NotFound.status
        if absent or ("owner" in problem.extra and not may_see(who, problem.extra["owner"], shared=False)):
            raise missing(FORMATTED, set_id) from problem
        raise
    facts = FormattedSetFacts.model_validate(told)
    if facts.dataset is None or not may_see(who, facts.owner, facts.shared):
        raise missing(FORMATTED, set_id)
    part: Part = "test" if facts.part == "test" else "train"
    return Material(facts.dataset, facts.model_copy(update={"dataset": None}), part)


@dataclass(frozen=True)
class _Owner(Generic[S]):
    """Who to ask for a kind of thing."""

    kind: str
    model: type[S]
    service: str
    collection: str


_ALGORITHMS = _Owner(ALGORITHM, AlgorithmSnapshot, "algo-svc", "algorithms")
_DATASETS = _Owner(DATASET, DatasetSnapshot, SERVICE, "datasets")


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
