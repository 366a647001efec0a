"""What one node has left: now, and once what runs on it is over."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from train_svc.domain.scheduling.values import Member, Node

Model = tuple[str, str]
"""A kind of accelerator and its model."""


class Room(NamedTuple):
    """Free CPU, memory and devices of each model; two nodes with equal room are as good as one another."""

    cpu: int
    memory: int
    models: tuple[Model, ...]
    counts: tuple[int, ...]

    def fits(self, member: Member) -> bool:
        """Whether a member has room."""
        if member.cpu > self.cpu or member.memory > self.memory:
            return False
        if not member.devices:
            return self.cpu >= 0 and self.memory >= 0
        kind, model = member.kind, member.model
        there = sum(n for m, n in zip(self.models, self.counts, strict=True) if m[0] == kind and model in (None, m[1]))
        return there >= member.devices

    def take(self, member: Member) -> tuple[tuple[Model, int], ...]:
        """How many devices of which model a member that fits is given: of what is scarcest first."""
        if not member.devices:
            return ()
        there = sorted(
            (n, m)
            for m, n in zip(self.models, self.counts, strict=True)
            if n > 0 and m[0] == member.kind and member.model in (None, m[1])
        )
        enough = [(m, n) for n, m in there if n >= member.devices]
        if enough:
            return ((enough[0][0], member.devices),)
        taken, missing = [], member.devices
        for n, model in reversed(there):
            taken.append((model, min(n, missing)))
            missing -= taken[-1][1]
            if not missing:
                break
        return tuple(taken)

    def less(self, member: Member, devices: Iterable[tuple[Model, int]], sign: int = -1) -> Room:
        """With those devices and the member's CPU and memory taken away (or given back, with `sign` 1)."""
        counts = list(self.counts)
        for model, n in devices:
            if model in self.models:
                counts[self.models.index(model)] += sign * n
        return Room(self.cpu + sign * member.cpu, self.memory + sign * member.memory, self.models, tuple(counts))

    @property
    def tightness(self) -> tuple[int, int, int]:
        """Small is full: where the next one goes first, so that whole nodes stay free (best fit)."""
        return sum(self.counts), self.cpu, self.memory


class Part(NamedTuple):
    """What a running workload holds of one node, until `ends`."""

    ends: float
    id: str
    member: Member
    devices: tuple[tuple[Model, int], ...]


Natural = tuple[tuple[int, str], ...]


@lru_cache(maxsize=4096)
def natural(text: str) -> Natural:
    """`gpu-2` before `gpu-10`."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text))


@dataclass(eq=False, slots=True)
class Place:
    """A node with what it holds. `rank` orders nodes: those of one domain side by side, then by name."""

    node: Node
    rank: int
    domain: int
    models: tuple[Model, ...]
    devices: dict[Model, list[tuple[Natural, str]]]
    of: dict[str, Model]
    room: Room
    claimed: Room
    lost: bool = False
    kept: bool = False
    bucket: Room | None = None
    parts: list[Part] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether anything new may go there."""
        return not (self.lost or self.node.cordoned)

    @property
    def open(self) -> Room:
        """What is free and claimed by nobody."""
        free, claimed = self.room, self.claimed
        counts = tuple(map(int.__sub__, free.counts, claimed.counts))
        return Room(free.cpu - claimed.cpu, free.memory - claimed.memory, free.models, counts)

    def choose(self, wanted: Iterable[tuple[Model, int]]) -> tuple[str, ...]:
        """The lowest free devices of those models."""
        return tuple(device for model, n in wanted for _, device in self.devices[model][:n])

    def put(self, part: Part, devices: Iterable[str]) -> None:
        """Let a workload have its devices, CPU and memory."""
        for device in devices:
            if (model := self.of.get(device)) is not None:
                free = self.devices[model]
                del free[bisect_left(free, (natural(device), device))]
        self.room = self.room.less(part.member, part.devices)
        insort(self.parts, part)

    def remove(self, part: Part, devices: Iterable[str]) -> None:
        """Take back what a workload had."""
        for device in devices:
            if (model := self.of.get(device)) is not None:
                insort(self.devices[model], (natural(device), device))
        self.room = self.room.less(part.member, part.devices, 1)
        self.parts.remove(part)

    def when(self, member: Member) -> tuple[float, int] | None:
        """When a member has room at the latest, and how many parts end until then; None where it never has."""
        room, ends = self.open, float("-inf")
        for steps, part in enumerate([None, *self.parts]):
            if part is not None:
                room, ends = room.less(part.member, part.devices, 1), part.ends
            if room.fits(member):
                return ends, steps
        return None

    def then(self, steps: int) -> Room:
        """What is free once that many parts have ended."""
        room = self.open
        for part in self.parts[:steps]:
            room = room.less(part.member, part.devices, 1)
        return room


def place_of(node: Node, rank: int, domain: int) -> Place:
    """An empty node."""
    found: dict[Model, list[tuple[Natural, str]]] = {}
    of: dict[str, Model] = {}
    for device in node.devices:
        model = (device.kind, device.model)
        found.setdefault(model, []).append((natural(device.id), device.id))
        of[device.id] = model
    models = tuple(sorted(found))
    for free in found.values():
        free.sort()
    room = Room(node.cpu, node.memory, models, tuple(len(found[model]) for model in models))
    return Place(node, rank, domain, models, found, of, room, Room(0, 0, models, (0,) * len(models)))
