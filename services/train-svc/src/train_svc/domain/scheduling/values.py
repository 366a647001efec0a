"""The values a plan goes from and leads to. All are immutable; times are seconds, whichever the epoch.

Amounts are whole numbers, so that what is added and taken away again comes out at nothing: CPU in millicores, memory
in bytes, accelerators by the piece. `Amounts` name them `cpu`, `memory` and by the kind of accelerator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from common.contracts.shared import Placement
from common.ports.inventory import Device

Amounts = Mapping[str, int]
"""So much of each resource; one that is not named is not limited, or not asked for."""


@dataclass(frozen=True)
class Node:
    """A machine. `domain` is what its fast interconnect spans; a cordoned one takes nothing new."""

    name: str
    cpu: int
    memory: int
    devices: tuple[Device, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    domain: str = ""
    cordoned: bool = False


@dataclass(frozen=True)
class Queue:
    """What one group may use. `guaranteed` it can always claim back; what a cohort leaves unused its queues may borrow.

    `maximum` bounds what it uses in all, `borrowing` what it uses above its guarantee; None is without bound.
    `per_user` bounds what each user may use of it.
    """

    name: str
    group: str
    guaranteed: Amounts = field(default_factory=dict)
    maximum: Amounts = field(default_factory=dict)
    borrowing: Amounts | None = None
    cohort: str | None = None
    weight: float = 1.0
    per_user: Amounts = field(default_factory=dict)


class Member(NamedTuple):
    """What one member of a workload takes of its node. `model` None is any."""

    cpu: int = 0
    memory: int = 0
    kind: str | None = None
    devices: int = 0
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants what. A gang of `gang` members gets a node for each; what was preempted keeps `submitted`.

    `min_run` and `time_limit` are seconds. Of those with one `anti_affinity` at most one is on a node. Nodes to
    `avoid` (this workload failed there) are used only where no other could ever take it.
    """

    id: str
    queue: str
    user: str
    member: Member
    submitted: float
    gang: int = 1
    priority: int = 0
    selectors: tuple[tuple[str, str], ...] = ()
    anti_affinity: str | None = None
    avoid: frozenset[str] = frozenset()
    preemptible: bool = False
    min_run: float = 0.0
    time_limit: float | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A request that holds its placements since `started`. An `ending` one was told to go and still holds them."""

    request: Request
    placements: tuple[Placement, ...]
    started: float
    ending: bool = False

    @property
    def ends(self) -> float:
        """When it is over at the latest; infinity where nobody knows."""
        limit = self.request.time_limit
        return float("inf") if limit is None else self.started + limit


@dataclass(frozen=True)
class Take:
    """What a claim takes of one node: so many devices of each (kind, model)."""

    node: str
    devices: tuple[tuple[tuple[str, str], int], ...] = ()


@dataclass(frozen=True)
class Claim:
    """Capacity that is kept for whoever preempted: it begins there once the `victims` are gone."""

    request: str
    victims: frozenset[str]
    takes: tuple[Take, ...]


@dataclass(frozen=True)
class Policy:
    """How to decide. Seconds: a span of `ageing` earlier counts as a point of priority, `starving` waited ends all
    precedence of guarantees, `grace` is what a victim is given. At most `reservations` wait with nodes kept for them.
    `reclaim` says whom a queue below its guarantee may end in its cohort.
    """

    ageing: float = 3600.0
    starving: float = 86400.0
    grace: float = 30.0
    preempt: bool = True
    reservations: int = 8
    reclaim: Literal["any", "lower", "never"] = "any"


@dataclass(frozen=True)
class Delta:
    """What happened since the last plan. `lost` names nodes that are gone, `ending` workloads that were told to go
    by others; `queues` None leaves them as they are."""

    submitted: tuple[Request, ...] = ()
    ended: tuple[str, ...] = ()
    cancelled: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()
    lost: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()
    queues: tuple[Queue, ...] | None = None


@dataclass(frozen=True)
class Admit:
    """It begins now, exactly there."""

    id: str
    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class Preempt:
    """These workloads are to end within `grace` seconds, so that `request` can begin."""

    request: str
    victims: tuple[str, ...]
    grace: float


@dataclass(frozen=True)
class Reserve:
    """It can't begin yet. From `start` on (infinity: nobody knows) these nodes and quotas are kept for it."""

    id: str
    start: float
    nodes: tuple[str, ...] = ()
    quotas: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refuse:
    """It can never fit; `largest` would."""

    id: str
    reason: str
    largest: tuple[Member, int] | None = None


@dataclass(frozen=True)
class Revoke:
    """A node of it is gone, so all of it is taken back."""

    id: str
    node: str


Decision = Admit | Preempt | Reserve | Refuse | Revoke


@dataclass(frozen=True)
class Snapshot:
    """All that a state is about, as values: planning from it is planning from scratch."""

    policy: Policy = field(default_factory=Policy)
    nodes: tuple[Node, ...] = ()
    queues: tuple[Queue, ...] = ()
    running: tuple[Running, ...] = ()
    waiting: tuple[Request, ...] = ()
    claims: tuple[Claim, ...] = ()
    reserved: tuple[Reserve, ...] = ()
    lost: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Quota:
    """A limit that a request runs into: `free` of `limit` is left of that resource where `asked` is wanted."""

    account: str
    resource: str
    limit: int
    free: int
    asked: int


@dataclass(frozen=True)
class Why:
    """Why a request waits. `fitting` of `wanted` nodes have room now; `holders` would have to end for it to begin.

    `lacks` says what its best nodes lack; `kept_for` those whose reservation or claim is in its way; `start` is when it
    begins at the latest, None where nobody knows.
    """

    position: int
    fitting: int
    wanted: int
    lacks: tuple[tuple[str, Amounts], ...] = ()
    quotas: tuple[Quota, ...] = ()
    kept_for: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    start: float | None = None


def demand(member: Member, gang: int) -> dict[str, int]:
    """What the members take in all."""
    amounts = {"cpu": member.cpu * gang, "memory": member.memory * gang}
    if member.kind is not None and member.devices:
        amounts[member.kind] = member.devices * gang
    return amounts
