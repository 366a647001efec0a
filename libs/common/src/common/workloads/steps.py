"""One step of a workload: what is done outside transactions in each phase, and the change that follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import structlog

from common.contracts.job import EndReason
from common.kernel.errors import Problem, StorageFull, Unavailable
from common.ports.images import EngineSpec, EngineStatus
from common.ports.runtime import Handle, LaunchSpec, Limits, Mount, WorkloadState
from common.ports.staging import StageProgress
from common.service import Kit
from common.workloads import gangs
from common.workloads.holding import Holding
from common.workloads.mounting import mounted
from common.workloads.plan import MountPlan, StagePlan
from common.workloads.progress import Stand
from common.workloads.workload import Outcome, Phase, StopRequest, Workload, outcome_of

log = structlog.get_logger("workloads")

Report = Callable[[float, str], None]


class Steps:
    """Takes steps with the runtime, the staging and the owners of what is held."""

    def __init__(
        self,
        kit: Kit,
        collect: Callable[[Workload], Awaitable[dict[str, Any]]],
        may_launch: Callable[[Workload], Awaitable[None]],
        progress: dict[str, Stand],
        holding: Holding,
    ) -> None:
        self._kit = kit
        self._holding = holding
        self._may_launch = may_launch
        self._collect = collect
        self.progress = progress

    async def take(self, workload: Workload, report: Report) -> Workload | None:
        """The workload after its next step, None where there is nothing to do now. Raises Unavailable to try later."""
        if workload.phase == Phase.PREPARING:
            return await self._prepare(workload, report)
        if workload.phase == Phase.RUNNING:
            return await self._observe(workload)
        if workload.phase == Phase.COLLECTING:
            return await self._gather(workload)
        return await self._release(workload)

    # preparing

    async def _prepare(self, workload: Workload, report: Report) -> Workload:
        if workload.stop is not None:
            return await self._abandon(workload, Outcome(workload.stop.reason, workload.stop.detail))
        try:
            if workload.plan.resources.nodes > 1 and not workload.meeting:
                return replace(workload, meeting=await self._kit.platform.runtime.meeting(workload.id))
            await self._holding.take(workload.id, workload.plan.holds)
            engine = await self._engine(workload, report)
            mounts = await self._mounts(workload, report)
            await self._may_launch(workload)
            handle = await self._launch(workload, engine, mounts)
        except Unavailable:
            raise
        except Problem as problem:
            log.warning("preparing failed", workload=workload.id, code=problem.code, reason=problem.detail)
            return await self._abandon(workload, Outcome(_reason(problem), problem.detail))
        self.progress.pop(workload.id, None)
        return workload.moved("launch", handle=handle, progress=1.0, note="")

    async def _launch(self, workload: Workload, engine: EngineStatus | None, mounts: list[Mount]) -> Handle:
        """Start every member, the one at which they meet first; gives the handle of that one."""
        specs = [_launch_spec(workload, engine, mounts, rank) for rank in range(gangs.size(workload))]
        launched = [await self._kit.platform.runtime.launch(spec) for spec in specs]
        return launched[0]

    async def _abandon(self, workload: Workload, outcome: Outcome) -> Workload:
        """It will not run. Whatever a killed predecessor of this step may have started is stopped when releasing."""
        self.progress.pop(workload.id, None)
        return workload.moved("abandon", outcome=outcome, ended_at=self._kit.store.clock.now())

    async def _engine(self, workload: Workload, report: Report) -> EngineStatus | None:
        engine = workload.plan.engine
        if engine is None:
            return None

        def told(status: EngineStatus) -> None:
            report(status.progress, f"building engine {engine.name}: {status.detail}")

        return await self._kit.platform.engines.ensure(EngineSpec(engine.name, engine.requirements), told)

    async def _mounts(self, workload: Workload, report: Report) -> list[Mount]:
        staged = await asyncio.gather(*(self._stage(workload.id, stage, report) for stage in workload.plan.stages))
        folders = [
            Mount(f.name, "volume" if f.volume else "scratch", f.variable, volume=f.volume)
            for f in workload.plan.folders
        ]
        sources = await asyncio.gather(*(self._mount(workload.id, mount, report) for mount in workload.plan.mounts))
        return [*staged, *folders, *sources]

    async def _mount(self, workload: str, plan: MountPlan, report: Report) -> Mount:
        def told(progress: StageProgress) -> None:
            report(progress.done / max(progress.total, 1), f"copying {plan.name}")

        return await mounted(self._kit, workload, plan, told)

    async def _stage(self, workload: str, stage: StagePlan, report: Report) -> Mount:
        def told(progress: StageProgress) -> None:
            report(progress.done / max(progress.total, 1), f"staging {stage.name}")

        source = await self._kit.platform.staging.stage(stage.request, told, workload=workload)
        return Mount(stage.name, "staged", stage.variable, source=source)

    # running

    async def _observe(self, workload: Workload) -> Workload | None:
        runtime = self._kit.platform.runtime
        handles = gangs.handles(workload)
        members = [await runtime.observe(handle) for handle in handles]
        seen = gangs.together(members)
        if seen.state == WorkloadState.UNKNOWN:
            raise Unavailable("workload_unseen", f"The workload can't be seen at present: {seen.detail}")
        if seen.state in gangs.OVER:
            return workload.moved(
                "exit",
                outcome=outcome_of(workload, seen),
                started_at=workload.started_at or seen.started_at,
                ended_at=seen.ended_at or self._kit.store.clock.now(),
                cpu_seconds=seen.usage.cpu_seconds,
                peak_memory=seen.usage.peak_memory,
                address=None,
            )
        if workload.stop is not None:
            notice = "preempted" if workload.stop.reason == EndReason.PREEMPTED else ""
            for handle in handles:
                await runtime.stop(handle, workload.stop.grace, notice)
        elif gangs.broken(members):
            for handle in handles:
                await runtime.stop(handle, gangs.BROKEN_GRACE_SECONDS)
        if seen.state == WorkloadState.RUNNING and workload.started_at is None:
            return replace(workload, started_at=seen.started_at, address=seen.address)
        return await self._arriving(workload) if workload.stop is None else None

    async def _arriving(self, workload: Workload) -> Workload | None:
        """See that what it reads while it comes goes on coming; where it can't, the workload is to end for that."""
        try:
            for stage in workload.plan.stages:
                if stage.stream:
                    await self._kit.platform.staging.carry_on(stage.request)
        except Unavailable:
            raise
        except Problem as problem:
            log.warning("staging failed while it runs", workload=workload.id, code=problem.code, reason=problem.detail)
            return replace(workload, stop=StopRequest(_reason(problem), detail=problem.detail))
        return None

    # collecting and releasing

    async def _gather(self, workload: Workload) -> Workload:
        try:
            result = await self._collect(workload)
        except Unavailable:
            raise
        except (Problem, OSError) as error:
            reason = EndReason.STORAGE_FULL if isinstance(error, StorageFull) else EndReason.COLLECT_FAILED
            log.warning("collecting failed", workload=workload.id, reason=str(error))
            detail = f"Its results could not be kept: {error}"
            if workload.outcome is not None and workload.outcome.reason == EndReason.PREEMPTED:
                return workload.moved("collect", result={"notes": [detail]})  # it goes on elsewhere: no failure
            return workload.moved("collect", outcome=Outcome(reason, detail, _exit_code(workload)))
        return workload.moved("collect", result=result)

    async def _release(self, workload: Workload) -> Workload:
        """Free everything; devices only once the runtime confirms that nothing of it runs."""
        runtime, handles = self._kit.platform.runtime, gangs.handles(workload)
        left = [handle for handle in handles if (await runtime.observe(handle)).state not in gangs.OVER]
        for handle in left:
            await runtime.stop(handle, 0)
        if left:
            raise Unavailable("still_ending", "What is left of the workload is being stopped.")
        for handle in handles:
            await runtime.remove(handle)
        await self._kit.platform.staging.release(workload.id)
        self._holding.drop(workload.id, workload.plan.holds)
        return workload.moved("release")


def _exit_code(workload: Workload) -> int | None:
    return workload.outcome.exit_code if workload.outcome else None


def _reason(problem: Problem) -> EndReason:
    if isinstance(problem, StorageFull):
        return EndReason.STORAGE_FULL
    if problem.code in ("launch_failed", "engine_failed", "bad_requirement", "bad_environment"):
        return EndReason.LAUNCH_FAILED
    return EndReason.STAGING_FAILED


def _launch_spec(workload: Workload, engine: EngineStatus | None, mounts: list[Mount], rank: int) -> LaunchSpec:
    """What one member is launched with: its own devices, and how it finds the others."""
    plan = workload.plan
    placement = workload.placements[rank] if workload.placements else None
    return LaunchSpec(
        workload=gangs.member_id(workload.id, rank),
        owner=workload.owner,
        command=plan.command,
        environment={**plan.environment, **gangs.environment(workload, rank)},
        mounts=tuple(mounts),
        working_mount=plan.working_mount,
        engine=engine.path if engine else None,
        image=plan.image or (engine.image if engine else None),
        devices=placement.devices if placement else (),
        limits=Limits(plan.resources.cpu, plan.resources.memory, plan.pids, plan.seconds, plan.log_bytes),
        port=plan.port,
    )
