"""Faults in succession on one cluster, while people work on it without a break; then the books, and the ledger."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from common.bus.rabbitmq.topology import BATCH_TYPE, LOG
from common.kernel.events import CloudEvent
from common.ports.bus import Subscription
from tests.faults.blows import KINDS, LOST_DISK, Ground, answered, counted
from tests.faults.harness import Ledger, balance
from tests.faults.people import Person, Witness

RECOVERS_IN = 90.0
RESUMES_IN = 15.0
"""Seconds from the broker's return until an event goes through, on a machine that has nothing else to do."""
SILENCE = 10.0
READING_SECONDS = 40.0

_EVENTS = TypeAdapter(list[CloudEvent])


@dataclass(frozen=True)
class Struck:
    """One fault: after how many seconds an event went through again, and all said that they can work; what was told and
    done meanwhile."""

    kind: str
    resumed: float
    ready: float
    told: int
    effects: int


@dataclass
class Storm:
    """Deals the faults of a plan."""

    ground: Ground
    people: Sequence[Person]
    witness: Witness
    resumes_in: float = RESUMES_IN
    struck: list[Struck] = field(default_factory=list)
    sent_again: int = 0
    """Events that were published more than once, as far as a log that is lost meanwhile knew."""

    def run(self, plan: Sequence[str]) -> tuple[int, int]:
        """All of them; gives how many lines the witness wrote, and how many rounds people have made."""
        with self._life() as working:
            for kind in plan:
                self._fail_with([one for one in working if one.done()])
                self.struck.append(self._strike(kind))
                print(time.strftime("%H:%M:%S"), self.struck[-1])
                time.sleep(self.ground.dice.uniform(0.2, 1.0))
        self._fail_with(working[:-1])
        lines = self.witness.end()
        for person in self.people:
            person.check()
        return lines, sum(person.rounds for person in self.people)

    @contextmanager
    def _life(self) -> Iterator[list[Future[Any]]]:
        """While this lasts everybody works; at its end all have brought to its end what they were at."""
        over = threading.Event()
        pool = ThreadPoolExecutor(len(self.people) + 1)
        try:
            working: list[Future[Any]] = [pool.submit(one.work, over) for one in self.people]
            yield [*working, pool.submit(self.witness.keep_calling, over), self.witness.following]
        finally:
            over.set()
            pool.shutdown(wait=False)
        for one in working:
            one.exception(RECOVERS_IN * 3)

    def _fail_with(self, ended: Sequence[Future[Any]]) -> None:
        for one in ended:
            one.result(0)

    def _strike(self, kind: str) -> Struck:
        before = counted(self.ground)
        if kind == LOST_DISK:
            self.count_published_twice()
        KINDS[kind](self.ground)
        with ThreadPoolExecutor(2) as pool:
            resumed, ready = pool.submit(self._event_goes_through), pool.submit(self._all_ready)
            seconds = resumed.result(), ready.result()
        after = counted(self.ground)
        if "broker" in kind:
            assert seconds[0] < self.resumes_in, f"{kind}: an event went through {seconds[0]:.1f} s after the return"
        return Struck(kind, *seconds, after["told"] - before["told"], after["effects"] - before["effects"])

    def _event_goes_through(self) -> float:
        """Seconds until an event that is told now has its effect at somebody else's."""
        began, ground = time.monotonic(), self.ground
        ground.tell()
        latest = f"SELECT event_id FROM outbox WHERE subject = '{ground.dataset}' ORDER BY id DESC LIMIT 1"
        [(event,)] = ground.running.rows("dataset-svc", latest)
        heard = f"SELECT 1 FROM inbox WHERE event_id = '{event}' AND state = 'done'"
        answered(lambda: bool(ground.running.rows("train-svc", heard)), RECOVERS_IN)
        return time.monotonic() - began

    def _all_ready(self) -> float:
        began = time.monotonic()
        for one in self.ground.running.everyone:
            one.wait_until_ready(RECOVERS_IN)
        return time.monotonic() - began

    def books(self, listening: Sequence[Subscription]) -> Ledger:
        """Balanced: nothing lost, nothing done twice."""
        return balance(self.ground.running, listening, 120.0)

    def count_published_twice(self) -> None:
        """Add the events that are in the broker's log more often than once: what relays sent again."""
        logged = asyncio.run(_logged(self.ground.running.environment["YARD_BUS_URL"]))
        self.sent_again += sum(times > 1 for times in logged.values())


async def _logged(url: str) -> Counter[str]:
    """Event → how often it stands in the log."""
    seen: Counter[str] = Counter()
    over = time.monotonic() + READING_SECONDS
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.set_qos(prefetch_count=100)
        log = await channel.get_queue(LOG, ensure=False)
        try:
            async with log.iterator(arguments={"x-stream-offset": "first"}, timeout=SILENCE) as messages:
                async for message in messages:
                    if message.content_type == BATCH_TYPE:
                        seen.update(event.id for event in _EVENTS.validate_json(message.body))
                    await message.ack()
                    if time.monotonic() > over:  # people go on meanwhile, so there may never be a silence
                        return seen
        except TimeoutError:
            return seen
    return seen


def printed(struck: Sequence[Struck], title: str) -> str:
    """The ledger as a table: a row for each kind, and one for all."""
    table = Table(title=title)
    for column in ("fault", "times", "event through, s (mean/most)", "all ready, s (mean/most)", "told", "effects"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for kind in (*KINDS, ""):
        if some := [one for one in struck if kind in ("", one.kind)]:
            table.add_row(kind or "all", *_row(some), end_section=kind == [*KINDS][-1])
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def _row(some: Sequence[Struck]) -> list[str]:
    def seconds(values: list[float]) -> str:
        return f"{sum(values) / len(values):.1f} / {max(values):.1f}"

    times = [seconds([one.resumed for one in some]), seconds([one.ready for one in some])]
    return [str(len(some)), *times, str(sum(one.told for one in some)), str(sum(one.effects for one in some))]
