"""Engines: registered by administrators, built on demand, and told about once each time."""

from __future__ import annotations

import asyncio

import structlog

from algo_svc.domain.engine import Engine, EngineBuild, check_engine
from algo_svc.storage import ENGINES, engines
from common.contracts.image import ImageFailed, ImageReady
from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, Problem, Unavailable
from common.ports.images import EngineSpec
from common.service import Kit
from common.web.identity import Principal

log = structlog.get_logger("engines")

DETAIL_CHARACTERS = 2000


async def add_engine(
    uow: UnitOfWork,
    who: Principal,
    name: str,
    framework: str,
    release: str,
    requirements: tuple[str, ...],
    python: str,
) -> Engine:
    """A new engine. Raises Invalid (`invalid_engine`), Conflict (`engine_exists`): algorithms rely on what it is."""
    check_engine(name, framework, release, requirements)
    if await ENGINES.find(uow.connection, name) is not None:
        raise Conflict("engine_exists", f"There is an engine {name} already. Give another version another name.")
    now = uow.clock.now()
    engine = Engine(name, who.id, framework, release, requirements, now, now, python)
    await ENGINES.add(uow.connection, engine)
    return engine


async def ask_build(uow: UnitOfWork, name: str) -> Engine:
    """Have it built; asking while it is built is asking once. Raises NotFound (`engine_not_found`)."""
    engine = await ENGINES.get(uow.connection, name)
    if engine.state == EngineBuild.BUILDING:
        return engine
    return await ENGINES.save(uow.connection, engine.moved("build"), now=uow.clock.now())


def spec_of(engine: Engine) -> EngineSpec:
    """What the port needs to build it."""
    return EngineSpec(engine.name, engine.requirements, engine.python)


class Builder:
    """Builds what was asked for, also what a killed process left half-built."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def round(self, _lease: object) -> None:
        """Start what is asked and not yet in hand here; building itself takes minutes and has tasks of its own.

        Two instances that build the same share one build (the port sees to it), and the second finds it told.
        """
        async with self._kit.store.reading() as connection:
            asked = await ENGINES.where(connection, engines.c.state == EngineBuild.BUILDING)
        for engine in asked:
            if engine.name not in self._tasks:
                task = asyncio.create_task(self._build(engine), name=f"engine {engine.name}")
                self._tasks[engine.name] = task

    async def close(self) -> None:
        """Stop; what is half-built is built after the next start."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _build(self, engine: Engine) -> None:
        try:
            status = await self._kit.platform.engines.ensure(spec_of(engine))
            await self._finish(engine.name, ImageReady(id=engine.name, reference=engine.name, digest=status.digest))
        except Unavailable as problem:
            log.warning("engine waits", engine=engine.name, reason=problem.detail)
        except Problem as problem:
            log.warning("engine failed", engine=engine.name, code=problem.code, reason=problem.detail)
            reason = problem.detail[-DETAIL_CHARACTERS:]
            await self._finish(engine.name, ImageFailed(id=engine.name, code=problem.code, reason=reason))
        except Exception:
            log.exception("building failed, will be tried again", engine=engine.name)
        finally:
            self._tasks.pop(engine.name, None)

    async def _finish(self, name: str, told: ImageReady | ImageFailed) -> None:
        async with self._kit.store.work() as uow:
            engine = await ENGINES.find(uow.connection, name)
            if engine is None or engine.state != EngineBuild.BUILDING:
                return
            if isinstance(told, ImageReady):
                after = engine.moved("finish", digest=told.digest)
            else:
                after = engine.moved("fail", told.reason)
            await ENGINES.save(uow.connection, after, now=uow.clock.now())
            uow.emit(told, subject=name, owner=engine.owner)
