"""What can be done with algorithms: one function a verb, each within the caller's unit of work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from algo_svc.domain.algorithm import Algorithm
from algo_svc.domain.checks import check_algorithm
from algo_svc.domain.errors import StillOnline
from algo_svc.storage import ALGORITHMS, bury, engine_named
from common.contracts.algorithm import (
    AlgorithmChanged,
    AlgorithmDeleted,
    AlgorithmOffline,
    AlgorithmOnline,
    AlgorithmSnapshot,
)
from common.contracts.purposes import check_purpose
from common.contracts.shared import CodePart, InferencePart, ManifestRef, TrainingPart, Visibility
from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, Forbidden
from common.kernel.events import EventData
from common.kernel.ids import new_id
from common.web.access import require_change
from common.web.identity import Principal

Part = Literal["training", "inference"]


@dataclass(frozen=True)
class NewAlgorithm:
    """What a new algorithm is made from; engines are only named."""

    name: str
    description: str
    purpose: str
    formats: tuple[str, ...]
    training: TrainingPart
    inference: InferencePart | None
    visibility: Visibility


async def register(
    uow: UnitOfWork, who: Principal, new: NewAlgorithm, more_purposes: tuple[str, ...] = ()
) -> Algorithm:
    """A new algorithm, offline. Raises Invalid with everything that is wrong (row A1)."""
    _check_visibility(who, new.visibility)
    check_purpose(new.purpose, more_purposes)
    check_algorithm(new.name, new.description, new.formats, new.training, new.inference)
    now = uow.clock.now()
    algorithm = Algorithm(
        id=new_id("algo"),
        name=new.name,
        owner=who.id,
        description=new.description,
        purpose=new.purpose,
        formats=new.formats,
        training=await _with_engine(uow, "training", new.training),
        inference=await _with_engine(uow, "inference", new.inference) if new.inference else None,
        visibility=new.visibility,
        created_at=now,
        updated_at=now,
    ).settled()
    await ALGORITHMS.add(uow.connection, algorithm)
    await _tell(uow, algorithm, AlgorithmChanged(**algorithm.facts()))
    return algorithm


async def changeable(uow: UnitOfWork, who: Principal, algorithm_id: str) -> Algorithm:
    """The algorithm, if the caller may change it; else NotFound or Forbidden."""
    algorithm = await ALGORITHMS.get(uow.connection, algorithm_id)
    require_change(who, "algorithm", algorithm.id, algorithm.owner, algorithm.shared)
    return algorithm


async def edit(
    uow: UnitOfWork,
    who: Principal,
    algorithm_id: str,
    changes: dict[str, Any],
    more_purposes: tuple[str, ...] = (),
) -> Algorithm:
    """Change name, description, purpose, formats or parts (row A4); parts keep their code."""
    before = await changeable(uow, who, algorithm_id)
    if "purpose" in changes:
        check_purpose(changes["purpose"], more_purposes)
    for part in ("training", "inference"):
        if changes.get(part) is not None:
            named = await _with_engine(uow, part, changes[part])
            kept = getattr(before, part)
            changes[part] = named.model_copy(update={"code": kept.code if kept is not None else None})
    after = before.edited(**changes)
    check_algorithm(after.name, after.description, after.formats, after.training, after.inference)
    return await _changed(uow, after)


async def put_code(uow: UnitOfWork, who: Principal, algorithm_id: str, part: Part, code: ManifestRef) -> Algorithm:
    """Give a part its code, replacing what it had. Raises Conflict (`no_such_part`)."""
    before = await changeable(uow, who, algorithm_id)
    after = before.edited(**{part: part_of(before, part).model_copy(update={"code": code})})
    return await _changed(uow, after) if after != before else before


def part_of(algorithm: Algorithm, part: Part) -> CodePart:
    """That part of it. Raises Conflict (`no_such_part`)."""
    found: CodePart | None = getattr(algorithm, part)
    if found is None:
        raise Conflict("no_such_part", f"{algorithm.id} has no {part} part. Describe it first: PATCH {part}.")
    return found


async def put_online(uow: UnitOfWork, who: Principal, algorithm_id: str) -> Algorithm:
    """Let it be trained with (row A7)."""
    algorithm = (await changeable(uow, who, algorithm_id)).put_online()
    saved = await ALGORITHMS.save(uow.connection, algorithm, now=uow.clock.now())
    await _tell(uow, saved, AlgorithmOnline(**saved.facts()))
    return saved


async def take_offline(uow: UnitOfWork, who: Principal, algorithm_id: str) -> Algorithm:
    """Let nobody choose it any more (row A7)."""
    algorithm = (await changeable(uow, who, algorithm_id)).taken_offline()
    saved = await ALGORITHMS.save(uow.connection, algorithm, now=uow.clock.now())
    await _tell(uow, saved, AlgorithmOffline(id=saved.id))
    return saved


async def set_visibility(uow: UnitOfWork, who: Principal, algorithm_id: str, visibility: Visibility) -> Algorithm:
    """Say who may use it (row A8)."""
    before = await changeable(uow, who, algorithm_id)
    if before.visibility == Visibility.PRESET != visibility:
        _check_visibility(who, Visibility.PRESET)
    _check_visibility(who, visibility)
    return await _changed(uow, before.edited(visibility=visibility))


async def remove(uow: UnitOfWork, who: Principal, algorithm_id: str) -> None:
    """Delete it but for its tombstone. Raises Conflict (`algorithm_online`)."""
    algorithm = await changeable(uow, who, algorithm_id)
    if algorithm.online:
        raise StillOnline(algorithm.id, "it can't be deleted")
    await bury(uow, algorithm)
    await _tell(uow, algorithm, AlgorithmDeleted(id=algorithm.id))


def snapshot(algorithm: Algorithm) -> AlgorithmSnapshot:
    """All that other services need of it."""
    return AlgorithmSnapshot(**algorithm.facts())


async def _changed(uow: UnitOfWork, after: Algorithm) -> Algorithm:
    saved = await ALGORITHMS.save(uow.connection, after, now=uow.clock.now())
    await _tell(uow, saved, AlgorithmChanged(**saved.facts()))
    return saved


async def _tell(uow: UnitOfWork, algorithm: Algorithm, event: EventData) -> None:
    uow.emit(event, subject=algorithm.id, owner=algorithm.owner)


async def _with_engine(uow: UnitOfWork, where: str, part: Any) -> Any:
    """The part with its engine whole, as the registry has it now."""
    if part.engine is None:
        return part
    engine = await engine_named(uow.connection, part.engine.name, f"{where}.engine")
    return part.model_copy(update={"engine": engine.ref()})


def _check_visibility(who: Principal, visibility: Visibility) -> None:
    """Only an administrator says that a thing is preset (seed 002 §2.1.7)."""
    if visibility == Visibility.PRESET and not who.is_admin:
        raise Forbidden("preset_admin_only", "Only an administrator may make a thing preset, or end that.")
