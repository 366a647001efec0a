"""An inference service: from stopped to running and back, and what it does about replicas that die (seed 002 §2.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from common.contracts.model import Lineage
from common.contracts.service import Endpoint, ServiceSnapshot
from common.contracts.shared import InferencePart, ManifestRef, Resources, Visibility
from common.kernel.states import Transitions
from serving_svc.domain.replicas import Replica


class ServiceState(StrEnum):
    """`running`: at least one replica is ready. `failed`: replicas keep dying; it is tried again at long pauses."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FAILED = "failed"


_S = ServiceState

TRANSITIONS = Transitions(
    "service",
    _S.STOPPED,
    {
        (_S.STOPPED, "start"): _S.STARTING,
        (_S.STARTING, "become ready"): _S.RUNNING,
        (_S.STARTING, "scale"): _S.STARTING,
        (_S.STARTING, "give up"): _S.FAILED,
        (_S.STARTING, "stop"): _S.STOPPING,
        (_S.RUNNING, "scale"): _S.RUNNING,
        (_S.RUNNING, "lose all"): _S.STARTING,
        (_S.RUNNING, "stop"): _S.STOPPING,
        (_S.FAILED, "become ready"): _S.RUNNING,
        (_S.FAILED, "start"): _S.STARTING,
        (_S.FAILED, "scale"): _S.FAILED,
        (_S.FAILED, "stop"): _S.STOPPING,
        (_S.STOPPING, "start"): _S.STARTING,
        (_S.STOPPING, "end"): _S.STOPPED,
    },
)


@dataclass(frozen=True)
class Backoff:
    """How patiently dead replicas are replaced: after `first` seconds, doubling up to `longest`; `deaths` in a row
    mean failed; a replica that was ready for `steady` seconds died of something new."""

    first: float = 1.0
    longest: float = 300.0
    deaths: int = 3
    steady: float = 60.0

    def pause(self, deaths: int, was_ready: bool) -> float:
        """Seconds before the next try after so many deaths in a row: the first of a good replica costs none."""
        if deaths <= 1 and was_ready:
            return 0.0
        return min(self.longest, self.first * 2.0 ** min(deaths - 1, 30))


@dataclass(frozen=True)
class InferenceService:
    """One service. `replicas` is the number wanted, `endpoints` those that are ready and routed to; only those of a
    `preemptible` one may be told to end for more urgent work, and those of one that is `spread` each have
    a node of their own. `resources` are what each replica gets, in place of what the inference part asks for; they
    wait with that `priority` (or that of the `priority_class`) in the queue of the owner's `groups`.

    `deaths` in a row, `retry_at` (not before) and `detail` (why) say what is done about replicas that die.
    """

    id: str
    name: str
    owner: str
    inference: InferencePart
    created_at: datetime
    updated_at: datetime
    description: str = ""
    state: ServiceState = ServiceState.STOPPED
    version: int = 1
    visibility: Visibility = Visibility.PRIVATE
    purpose: str = ""
    replicas: int = 0
    endpoints: tuple[Endpoint, ...] = ()
    model_id: str | None = None
    model_name: str = ""
    model: ManifestRef | None = None
    lineage: Lineage | None = None
    deaths: int = 0
    gave_up: bool = False
    retry_at: datetime | None = None
    detail: str = ""
    preemptible: bool = False
    spread: bool = False
    resources: Resources | None = None
    priority: int = 0
    priority_class: str | None = None
    groups: tuple[str, ...] = ()

    @property
    def shared(self) -> bool:
        """Whether others than the owner may see and call it."""
        return self.visibility != Visibility.PRIVATE

    @property
    def needs(self) -> Resources:
        """What each replica asks for."""
        return self.resources or self.inference.resources

    @property
    def job_id(self) -> str | None:
        """The job that trained its model."""
        return self.lineage.job_id if self.lineage is not None else None

    @property
    def address(self) -> str:
        """Where it answers, for as long as it exists."""
        return f"/serve/{self.id}/"

    # what people do

    def started(self, replicas: int) -> InferenceService:
        """Wanted with so many replicas, and with a fresh start for those that kept dying."""
        after = self._moved("start", replicas=replicas)
        return replace(after, deaths=0, gave_up=False, retry_at=None, detail="")

    def scaled(self, replicas: int) -> InferenceService:
        """Wanted with another number of replicas."""
        return self._moved("scale", replicas=replicas)

    def stopped(self) -> InferenceService:
        """Wanted with none; nothing is routed to it from now on."""
        after = self._moved("stop", replicas=0, endpoints=())
        return replace(after, deaths=0, gave_up=False, retry_at=None, detail="")

    def edited(self, changes: Mapping[str, Any]) -> InferenceService:
        """With another name, description or visibility, or other terms for its next replicas."""
        return replace(self, **changes)

    # what is seen

    def lost(self, replica: Replica, why: str, fatal: bool, now: datetime, backoff: Backoff) -> InferenceService:
        """A replica ended that nobody stopped. `fatal`: it could not even be started."""
        good = replica.ready_at is not None
        steady = replica.ready_at is not None and (now - replica.ready_at).total_seconds() >= backoff.steady
        deaths = 1 if steady else self.deaths + 1
        pause = backoff.pause(deaths, good)
        again = f" Tried again in {pause:g} s." if pause else ""
        return replace(
            self,
            deaths=deaths,
            gave_up=self.gave_up or fatal or deaths >= backoff.deaths,
            retry_at=now + timedelta(seconds=pause),
            detail=f"Replica {replica.id} ended: {why}{again}",
        )

    def settled(self, replicas: Sequence[Replica]) -> InferenceService:
        """In the state that follows from the replicas that have not ended."""
        if self.state == _S.STOPPING:
            return self if replicas else self._moved("end")
        if self.state == _S.STOPPED:
            return self
        ready = sorted((r for r in replicas if r.routed and r.address), key=lambda replica: replica.id)
        endpoints = tuple(Endpoint(replica=r.id, url=str(r.address)) for r in ready)
        return replace(self, endpoints=endpoints)._followed()

    def _followed(self) -> InferenceService:
        after = self
        if after.state == _S.RUNNING and not after.endpoints:
            after = after._moved("lose all")
        if after.state in (_S.STARTING, _S.FAILED) and after.endpoints:
            after = after._moved("become ready", gave_up=False)
        if after.state == _S.STARTING and after.gave_up:
            after = after._moved("give up")
        if after.endpoints and len(after.endpoints) >= after.replicas:
            after = replace(after, detail="")
        return after

    def _moved(self, verb: str, **changes: Any) -> InferenceService:
        return replace(self, state=TRANSITIONS.move(self.state, verb), **changes)

    def facts(self) -> dict[str, Any]:
        """The fields of the snapshot that others keep."""
        fields = {name: getattr(self, name) for name in ServiceSnapshot.model_fields if name != "interface"}
        return {**fields, "interface": self.inference.interface}
