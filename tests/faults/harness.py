"""kill -9 at seeded moments of a journey, and the books balanced afterwards.

A journey is code that works with a client and says at which stage it is; `Chaos` kills its victim (the platform's
process, or a part of a cluster) while a stage is going on and starts it again. `balance` then proves from the databases
that nothing was lost or done twice.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import gateway.service
from common.ports.bus import Subscription
from embedded.house import BEHIND
from embedded.platform import open_platform
from embedded.settings import Settings
from tests.architecture.owners import OWNERS
from tests.support.process import until


class Victim(Protocol):
    """What is killed and started again."""

    def kill(self) -> None:
        """kill -9."""

    def launch(self) -> None:
        """Begin to start it."""

    def start(self) -> None:
        """Start it and return when it can do its work."""


class Books(Protocol):
    """Databases that can be read beside their services."""

    def keepers(self) -> list[str]:
        """The services that have an outbox."""

    def rows(self, service: str, query: str) -> list[tuple[Any, ...]]:
        """Rows of a service's own database."""


@dataclass(frozen=True)
class Blow:
    """One kill: so many seconds after the stage began, or after the restart before it began to start."""

    after: float
    while_starting: float | None = None
    """Killed again so many seconds after it was started anew, before it answers."""


@dataclass(frozen=True)
class Stage:
    """How long a stage takes at least, in seconds, and how often it is hit."""

    seconds: float
    blows: tuple[int, int] = (1, 1)


Plan = Mapping[str, Sequence[Blow]]


def plan_of(seed: int, stages: Mapping[str, Stage], *, while_starting: float = 0.0) -> Plan:
    """The kills of that seed, more of them early in a stage, where the steps are short.

    `while_starting` is the share of them that hits again during recovery.
    """
    dice = random.Random(seed)

    def blow(stage: Stage) -> Blow:
        again = dice.uniform(0.05, 1.2) if dice.random() < while_starting else None
        return Blow(stage.seconds * dice.random() ** 2, again)

    return {name: [blow(stage) for _ in range(dice.randint(*stage.blows))] for name, stage in stages.items()}


@dataclass
class Chaos:
    """Carries a plan out. `hits` says how often each stage was hit while it went on, `late` how often at its end."""

    victim: Victim
    plan: Plan
    hits: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """The block is hit as planned; one that is over before its first blow is hit at its end."""
        over = threading.Event()
        failures: list[BaseException] = []
        hitter = threading.Thread(target=self._hit, args=(name, over, failures), name=f"chaos {name}")
        hitter.start()
        try:
            yield
        finally:
            over.set()
            hitter.join()
        if failures:
            raise failures[0]

    def _hit(self, name: str, over: threading.Event, failures: list[BaseException]) -> None:
        try:
            for blow in self.plan[name]:
                if not over.wait(blow.after):
                    self.hits[name] += 1
                elif not self.hits[name] + self.late[name]:
                    self.late[name] += 1
                else:
                    return
                self._strike(blow)
        except BaseException as failure:  # noqa: BLE001 - raised again by the stage, in the test's own thread
            failures.append(failure)

    def _strike(self, blow: Blow) -> None:
        self.victim.kill()
        if blow.while_starting is not None:
            self.victim.launch()
            time.sleep(blow.while_starting)
            self.victim.kill()
        self.victim.start()


def subscriptions() -> list[Subscription]:
    """Who listens to what, from the services as they are built."""

    async def build() -> list[Subscription]:
        with tempfile.TemporaryDirectory(prefix="modelyard-built-") as home:
            async with open_platform(Settings(home=Path(home)), {}) as platform:
                built = [make(platform) for make in BEHIND]
                built.append(gateway.service.build(platform, None, {one.name: one.app for one in built}))
                listening = [one for service in built for one in service.inbox.subscriptions()]
                for service in built:
                    for stop in service.on_stop:
                        await stop()
                    await service.kit.store.database.close()
                return listening

    return asyncio.run(build())


@dataclass(frozen=True)
class Ledger:
    """The books of all services: what was told, and who heard it."""

    events: Mapping[str, frozenset[str]]
    """Type → ids, over all outboxes."""
    unsent: int
    heard: Mapping[tuple[str, str], Counter[str]]
    """(service, handler) → id → how often it is noted as done."""
    undone: Sequence[tuple[str, str, str, str]]
    """Service, handler, state and error of every inbox row that is not done."""
    gaps: Sequence[str]
    """Subjects whose events are not numbered 1, 2, 3 …"""
    foreign: Sequence[tuple[str, str]]
    """Service and type of every event that is not its own to tell."""

    @property
    def told(self) -> int:
        """How many events."""
        return sum(len(ids) for ids in self.events.values())

    @property
    def effects(self) -> int:
        """How many times a handler did its work."""
        return sum(times.total() for times in self.heard.values())


def read_ledger(platform: Books) -> Ledger:
    """The books as they stand."""
    events: dict[str, set[str]] = {}
    heard: dict[tuple[str, str], Counter[str]] = {}
    undone: list[tuple[str, str, str, str]] = []
    numbers: dict[str, list[int]] = {}
    foreign: list[tuple[str, str]] = []
    unsent = 0
    for service in platform.keepers():
        query = "SELECT event_id, type, subject, payload, sent_at FROM outbox ORDER BY id"
        for event, type_, subject, payload, sent in platform.rows(service, query):
            unsent += sent is None
            events.setdefault(type_, set()).add(event)
            numbers.setdefault(f"{service} {subject}", []).append(json.loads(payload)["sequence"])
            foreign += [] if service in OWNERS[type_] else [(service, type_)]
        for handler, event, state, error in platform.rows(service, "SELECT handler, event_id, state, error FROM inbox"):
            if state == "done":
                heard.setdefault((service, handler), Counter())[event] += 1
            else:
                undone.append((service, handler, state, error))
    gaps = [subject for subject, seen in numbers.items() if seen != list(range(1, len(seen) + 1))]
    return Ledger({type_: frozenset(ids) for type_, ids in events.items()}, unsent, heard, undone, gaps, foreign)


def balance(platform: Books, listening: Sequence[Subscription], seconds: float = 180.0) -> Ledger:
    """The books once everything was delivered: every event sent, and done exactly once by everyone who listens.

    Fails with what is missing, doubled, waiting or dead. Services are read one after another, and what is in the
    broker stands nowhere: so what is missing may be on its way.
    """
    until(
        lambda: not _wrong(read_ledger(platform), listening),
        seconds,
        lambda: f"the books don't balance: {_wrong(read_ledger(platform), listening)}",
    )
    return read_ledger(platform)


def _wrong(ledger: Ledger, listening: Sequence[Subscription]) -> list[Any]:
    """Whatever is not as it must be at the end."""
    wrong: list[Any] = [
        *ledger.undone,
        *ledger.gaps,
        *ledger.foreign,
        *[f"{ledger.unsent} unsent"] * bool(ledger.unsent),
    ]
    for one in listening:
        expected = {event for type_ in one.types for event in ledger.events.get(type_, ())}
        done = ledger.heard.get((one.service, one.handler), Counter())
        wrong += [(one.service, one.handler, event) for event in expected ^ set(done)]
        wrong += [(one.service, one.handler, event, times) for event, times in done.items() if times != 1]
    known = {(one.service, one.handler) for one in listening}
    return wrong + sorted(set(ledger.heard) - known)


def no_holds(platform: Books) -> list[tuple[Any, ...]]:
    """Every hold that nobody gave back."""
    return [row for service in platform.keepers() for row in platform.rows(service, "SELECT * FROM holds")]
