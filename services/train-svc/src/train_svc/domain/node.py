"""What is known of a node: as the inventory showed it last, what administrators said of it, and what of it is lost.

A node or a device that the inventory shows no more takes nothing new at once, and is lost once a grace has passed. What
is lost is written off: its allocations are revoked. It is back when it shows again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from common.kernel.states import Transitions
from common.ports.inventory import Node


class Mark(StrEnum):
    """What administrators said of a node: `open` takes work, `cordoned` takes nothing new, and of a `draining` one what
    it holds is ended."""

    OPEN = "open"
    CORDONED = "cordoned"
    DRAINING = "draining"


TRANSITIONS = Transitions(
    "node",
    Mark.OPEN,
    {
        (Mark.OPEN, "cordon"): Mark.CORDONED,
        (Mark.OPEN, "drain"): Mark.DRAINING,
        (Mark.CORDONED, "cordon"): Mark.CORDONED,
        (Mark.CORDONED, "drain"): Mark.DRAINING,
        (Mark.CORDONED, "uncordon"): Mark.OPEN,
        (Mark.DRAINING, "cordon"): Mark.CORDONED,
        (Mark.DRAINING, "drain"): Mark.DRAINING,
        (Mark.DRAINING, "uncordon"): Mark.OPEN,
        (Mark.OPEN, "uncordon"): Mark.OPEN,
    },
)


class NodeState(StrEnum):
    """How a node stands. `missing`: the inventory shows it no more, and its grace has not passed yet."""

    READY = "ready"
    CORDONED = "cordoned"
    DRAINING = "draining"
    MISSING = "missing"
    LOST = "lost"


@dataclass(frozen=True)
class KnownNode:
    """One node. `node` is as it was shown last, with the devices that are `missing` now (id → since when).

    `reason`, `since` and `by` tell of the mark; `grace` is how many seconds what is drained has. `gone` is since when
    the node itself is not shown; `lost` and `lost_devices` are written off. `fenced`: an administrator confirmed that
    it is dead, so that nothing can run on it any more.
    """

    node: Node
    mark: Mark = Mark.OPEN
    reason: str = ""
    since: datetime | None = None
    by: str = ""
    grace: float | None = None
    gone: datetime | None = None
    missing: Mapping[str, datetime] = field(default_factory=dict)
    lost: bool = False
    lost_devices: frozenset[str] = frozenset()
    fenced: datetime | None = None

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def state(self) -> NodeState:
        """How it stands, the worst first."""
        if self.lost:
            return NodeState.LOST
        if self.gone is not None:
            return NodeState.MISSING
        return {
            Mark.OPEN: NodeState.READY,
            Mark.CORDONED: NodeState.CORDONED,
            Mark.DRAINING: NodeState.DRAINING,
        }[self.mark]

    @property
    def takes_new(self) -> bool:
        """Whether anything new may be put on it: not while it, or a device of it, may be about to be lost."""
        return self.state is NodeState.READY and self.missing.keys() <= self.lost_devices

    @property
    def usable(self) -> Node:
        """The node without the devices that are lost; those that are missing are still their holders' own."""
        if not self.lost_devices:
            return self.node
        left = tuple(device for device in self.node.devices if device.id not in self.lost_devices)
        return replace(self.node, devices=left)

    def marked(self, verb: str, reason: str, by: str, now: datetime, grace: float | None = None) -> KnownNode:
        """After `cordon`, `drain` or `uncordon` by an administrator; saying again what is so changes only why."""
        mark = TRANSITIONS.move(self.mark, verb)
        if mark is Mark.OPEN:
            return replace(self, mark=mark, reason="", since=None, by="", grace=None)
        since = self.since if mark is self.mark else now
        return replace(self, mark=mark, reason=reason, since=since, by=by, grace=grace)

    def confirmed_dead(self, now: datetime) -> KnownNode:
        """Fenced: an administrator said that it is dead."""
        return self if self.fenced is not None else replace(self, fenced=now)


@dataclass(frozen=True)
class Loss:
    """What was written off: some devices of a node, or (None) all of it. `reason` says so to whom it is revoked."""

    node: str
    devices: frozenset[str] | None
    reason: str

    def concerns(self, node: str, devices: tuple[str, ...]) -> bool:
        """Whether a placement there is lost with it."""
        return node == self.node and (self.devices is None or not self.devices.isdisjoint(devices))


def observed(known: KnownNode | None, shown: Node | None, now: datetime, grace: float) -> KnownNode | None:
    """What is known after a look at the inventory; `grace` in seconds. None where there was and is no such node."""
    if shown is None:
        return None if known is None else _unseen(known, now, grace)
    if known is None:
        return KnownNode(shown)
    ids = {device.id for device in shown.devices}
    gone = tuple(device for device in known.node.devices if device.id not in ids)
    missing = {device.id: known.missing.get(device.id, now) for device in gone}
    lost = frozenset(name for name, since in missing.items() if _passed(since, now, grace))
    node = replace(shown, devices=shown.devices + gone) if gone else shown
    return replace(known, node=node, gone=None, lost=False, fenced=None, missing=missing, lost_devices=lost)


def _unseen(known: KnownNode, now: datetime, grace: float) -> KnownNode:
    gone = known.gone or now
    return replace(known, gone=gone, lost=known.lost or _passed(gone, now, grace))


def _passed(since: datetime, now: datetime, grace: float) -> bool:
    return (now - since).total_seconds() >= grace


def loss(before: KnownNode | None, after: KnownNode) -> Loss | None:
    """What an observation wrote off that was not written off before."""
    if after.lost:
        if before is not None and before.lost:
            return None
        return Loss(after.name, None, f"The node {after.name} is lost: the inventory shows it no more.")
    new = after.lost_devices - (before.lost_devices if before is not None else frozenset())
    if not new:
        return None
    named = ", ".join(sorted(new))
    return Loss(after.name, new, f"Of the node {after.name} the inventory shows {named} no more.")


def written_off(known: KnownNode) -> Loss | None:
    """All that is lost of it, whenever that was found."""
    return loss(None, known)


def forgettable(known: KnownNode, holds: bool, now: datetime, keep: float) -> bool:
    """Whether there is nothing to know of it any more: it is lost, nothing is held on it, and it is fenced or was last
    shown more than `keep` seconds ago."""
    if not known.lost or known.gone is None or holds:
        return False
    return known.fenced is not None or _passed(known.gone, now, keep)


def without_lost_devices(known: KnownNode, held: frozenset[str]) -> KnownNode:
    """The node without those of its lost devices that nobody holds: there is nothing to know of them any more."""
    forgotten = known.lost_devices - held
    if not forgotten:
        return known
    return replace(
        known,
        node=replace(known.node, devices=tuple(one for one in known.node.devices if one.id not in forgotten)),
        missing={name: since for name, since in known.missing.items() if name not in forgotten},
        lost_devices=known.lost_devices - forgotten,
    )
