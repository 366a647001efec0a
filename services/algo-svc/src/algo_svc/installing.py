"""Presets: installed at start, and given a new revision where the platform brings a changed one (row A9)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog
from sqlalchemy.exc import IntegrityError

from algo_svc.domain.algorithm import PRESET_OWNER, Algorithm
from algo_svc.domain.checks import check_algorithm
from algo_svc.domain.engine import Engine, check_engine
from algo_svc.packages import code_digest
from algo_svc.presets import EngineDefinition, PresetDefinition, load_engines, load_presets
from algo_svc.schemas import InferenceIn, TrainingIn
from algo_svc.storage import ALGORITHMS, ENGINES, engine_named, preset_named
from common.contracts.algorithm import AlgorithmChanged, AlgorithmOnline
from common.contracts.shared import ManifestRef, Visibility
from common.db.uow import UnitOfWork
from common.kernel.ids import new_id
from common.manifests import store_bytes
from common.service import Kit

log = structlog.get_logger("presets")


async def install(
    kit: Kit, presets: list[PresetDefinition] | None = None, engines: list[EngineDefinition] | None = None
) -> None:
    """Install and update what the platform brings. Done again with the same it changes and tells nothing."""
    async with kit.store.work() as uow:
        await uow.alone("install")  # several instances may start at once
        for engine in load_engines() if engines is None else engines:
            await _put_engine(uow, engine)
    for preset in load_presets() if presets is None else presets:
        try:
            await _install(kit, preset)
        except IntegrityError:
            log.info("another instance installed it at this moment", preset=preset.name)


async def _put_engine(uow: UnitOfWork, given: EngineDefinition) -> None:
    requirements = tuple(given.requirements)
    check_engine(given.name, given.framework, given.version, requirements)
    now = uow.clock.now()
    new = Engine(given.name, PRESET_OWNER, given.framework, given.version, requirements, now, now, python=given.python)
    known = await ENGINES.find(uow.connection, given.name)
    if known is None:
        await ENGINES.add(uow.connection, new)
    elif known.owner == PRESET_OWNER and (known.ref(), known.python) != (new.ref(), new.python):
        await ENGINES.save(uow.connection, replace(new, version=known.version, created_at=known.created_at), now=now)


async def _install(kit: Kit, preset: PresetDefinition) -> None:
    async with kit.store.reading() as connection:
        known = await preset_named(connection, preset.name)
        engine_names = {part["engine"] for part in _parts(preset.definition)}
        refs = [(await engine_named(connection, name, "engine")).ref() for name in sorted(engine_names)]
    digest = _digest(preset, [ref.model_dump() for ref in refs])
    if known is not None and known.preset_digest == digest:
        return
    algorithm_id = known.id if known is not None else new_id("algo")
    code = await store_bytes(
        kit.platform.files, preset.code, f"algorithms/{algorithm_id}/code/{code_digest(preset.code)}"
    )
    async with kit.store.work(actor=PRESET_OWNER) as uow:
        await uow.alone("install")
        await _put_preset(uow, algorithm_id, preset, digest, code)


async def _put_preset(
    uow: UnitOfWork, algorithm_id: str, preset: PresetDefinition, digest: str, code: ManifestRef
) -> None:
    before = await ALGORITHMS.find(uow.connection, algorithm_id)
    if before is not None and before.preset_digest == digest:
        return
    new = await _made(uow, algorithm_id, preset, code)
    if before is None:
        await ALGORITHMS.add(uow.connection, replace(new, preset_digest=digest))
        uow.emit(AlgorithmOnline(**new.facts()), subject=new.id, owner=new.owner)
        return
    after = before.edited(
        description=new.description,
        purpose=new.purpose,
        formats=new.formats,
        training=new.training,
        inference=new.inference,
        preset_digest=digest,
    )
    saved = await ALGORITHMS.save(uow.connection, after, now=uow.clock.now())
    uow.emit(AlgorithmChanged(**saved.facts()), subject=saved.id, owner=saved.owner)


async def _made(uow: UnitOfWork, algorithm_id: str, preset: PresetDefinition, code: ManifestRef) -> Algorithm:
    """The algorithm that a preset describes, online and for everybody."""
    given = preset.definition
    training = TrainingIn(**_known(TrainingIn, given["training"])).part()
    inference = InferenceIn(**_known(InferenceIn, given["inference"])).part() if "inference" in given else None
    check_algorithm(preset.name, given["description"], given["formats"], training, inference)
    now = uow.clock.now()
    return (
        Algorithm(
            id=algorithm_id,
            name=preset.name,
            owner=PRESET_OWNER,
            description=given["description"],
            purpose=given["purpose"],
            formats=tuple(given["formats"]),
            training=await _complete(uow, training, code),
            inference=await _complete(uow, inference, code) if inference is not None else None,
            visibility=Visibility.PRESET,
            preset=preset.name,
            created_at=now,
            updated_at=now,
        )
        .settled()
        .put_online()
    )


async def _complete(uow: UnitOfWork, part: Any, code: ManifestRef) -> Any:
    engine = await engine_named(uow.connection, part.engine.name, "engine")
    return part.model_copy(update={"engine": engine.ref(), "code": code})


def _known(model: type[TrainingIn] | type[InferenceIn], given: Mapping[str, Any]) -> dict[str, Any]:
    """What the platform understands of a definition, which may say more (in other languages, for instance)."""
    return {name: given[name] for name in model.model_fields if name in given}


def _parts(definition: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [definition[name] for name in ("training", "inference") if name in definition]


def _digest(preset: PresetDefinition, engines: list[dict[str, Any]]) -> str:
    """Changes with the definition, the engines or the code."""
    said = json.dumps([preset.definition, engines, code_digest(preset.code)], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
