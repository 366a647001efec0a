"""What can happen to a cluster: each blow is one kind of fault, dealt and over when it returns.

Over means that what was hit is back, not that anybody has noticed: that is what is measured afterwards. How long it
is away is seeded.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.servers.packages import ensure
from tests.servers.postgres import Postgres
from tests.servers.process import Server
from tests.servers.rabbitmq import SECONDS_UNTIL_A_NEW_QUEUE_LASTS, RabbitMQ
from tests.servers.s3 import S3Server
from tests.support.cluster import SERVICES, Cluster, Member
from tests.support.passage import Passage
from tests.support.process import until
from yard import Client, YardError

EDITS = 12
STOPPED = 30.0
POLICY = "no room"
HOUR = 3600


@dataclass
class Ground:
    """What is hit: the cluster, what it stands on, the ways to that, and the dataset that is edited to make events."""

    running: Cluster
    broker: RabbitMQ
    postgres: Postgres
    s3: S3Server
    ways: Mapping[str, Passage]
    dice: random.Random
    client: Client
    dataset: str
    longest: float = 4.0
    """Seconds that nothing passes, at the most; what is killed comes back in a quarter of that."""

    @property
    def vhost(self) -> str:
        """The cluster's virtual host in the broker."""
        return self.running.environment["YARD_BUS_URL"].rpartition("/")[2]

    def while_it_lasts(self, least: float, longest: float) -> None:
        """Wait as long as this fault lasts; many are short."""
        time.sleep(least + max(longest - least, 0) * self.dice.random() ** 2)

    def while_it_is_dead(self) -> None:
        """Wait until what was killed may come back; often it may at once."""
        self.while_it_lasts(0.0, self.longest / 4)

    def tell(self, times: int = 1) -> None:
        """Make so many events: each edit of the dataset is one."""
        for number in range(times):
            self.client.datasets.edit(self.dataset, description=f"{number} {self.dice.random()}")

    def unsent(self, service: str) -> int:
        """How many events wait in its outbox."""
        [(count,)] = self.running.rows(service, "SELECT count(*) FROM outbox WHERE sent_at IS NULL")
        return int(count)

    def queues(self) -> Sequence[str]:
        """The queues from which services hear, in which nothing else is."""
        listed = self.broker.manage("GET", f"queues/{self.vhost}?columns=name,type")
        queues = [one["name"] for one in listed if one.get("type") == "quorum"]
        return sorted(name for name in queues if not name.endswith(".dead"))


Blow = Callable[[Ground], None]


def of_service(service: str) -> Blow:
    """kill -9 of a service, whatever it does."""

    def blow(ground: Ground) -> None:
        member = ground.running.member(service)
        member.kill()
        ground.while_it_is_dead()
        member.launch()

    return blow


def of_server(which: Callable[[Ground], Server]) -> Blow:
    """kill -9 of what the services stand on."""

    def blow(ground: Ground) -> None:
        which(ground).kill()
        ground.while_it_is_dead()
        which(ground).start()

    return blow


def of_relay(ground: Ground) -> None:
    """kill -9 of a service between what its relay published and the mark: the broker has the events and confirms them,
    and the confirms are still on their way."""
    way, member = ground.ways["broker"], ground.running.member("dataset-svc")
    way.hold_answers()
    try:
        ground.tell(EDITS)
        until(lambda: ground.unsent("dataset-svc") >= EDITS, 30)
        time.sleep(0.3)  # the first of them set the relay off; what it sent is in the broker a millisecond later
        member.kill()
    finally:
        way.cut()
        way.heal()
    member.launch()


def of_way(name: str) -> Blow:
    """A connection on which nothing passes any more, and nobody is told; in the end it passes again, or is reset."""

    def blow(ground: Ground) -> None:
        way = ground.ways[name]
        way.black_hole()
        try:
            ground.while_it_lasts(1.0, ground.longest)
        finally:
            if ground.dice.random() < 0.5:
                way.cut()
            way.heal()

    return blow


def of_disk(ground: Ground) -> None:
    """The broker is killed, and comes back with an empty disk."""
    ground.broker.lose_disk()


def of_queue(ground: Ground) -> None:
    """A queue is deleted under its consumer."""
    time.sleep(SECONDS_UNTIL_A_NEW_QUEUE_LASTS)  # see RabbitMQ.kill
    name = ground.dice.choice(ground.queues())
    ground.broker.manage("DELETE", f"queues/{ground.vhost}/{quote(name, safe='')}")


def full_queue(ground: Ground) -> None:
    """A service is away and its queues have no room: they refuse, whoever tells keeps it, and all goes on later."""
    member = ground.running.member("train-svc")
    policy = f"policies/{ground.vhost}/{quote(POLICY)}"
    small = {"max-length": 1, "overflow": "reject-publish"}
    body = {"pattern": r"^train-svc\.", "definition": small, "apply-to": "queues", "priority": 1}
    ground.broker.manage("PUT", policy, body)
    try:
        member.kill()
        until(lambda: _told_in_vain(ground), STOPPED, lambda: "no queue was ever full")
        ground.while_it_is_dead()
    finally:
        ground.broker.manage("DELETE", policy)
    member.launch()


def _told_in_vain(ground: Ground) -> bool:
    ground.tell()
    time.sleep(0.3)
    return ground.unsent("dataset-svc") > 0


def of_clock(hours: float) -> Blow:
    """The clock of one service goes wrong by so many hours, and is set right again."""

    def blow(ground: Ground) -> None:
        clock = clock_of(ground.dice.choice([ground.running.member(one) for one in SERVICES]))
        clock.write_text(f"{hours * HOUR:+.0f}\n")
        try:
            ground.while_it_lasts(CLOCK_IS_READ_EVERY + 1, ground.longest / 4)
        finally:
            clock.write_text("+0\n")
        time.sleep(CLOCK_IS_READ_EVERY)

    return blow


CLOCK_IS_READ_EVERY = 1


def clock_of(member: Member) -> Path:
    """The file that says by how much a member's clock is wrong, in seconds."""
    return member.home / f"{member.service}-{member.number}.clock"


def give_clocks(running: Cluster) -> None:
    """Give every member a clock of its own, that can be stepped while it runs; its monotonic one can't, as in life."""
    library = ensure("faketime", lambda: next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None))
    for member in running.everyone:
        clock_of(member).write_text("+0\n")
        member.besides |= {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(clock_of(member)),
            "FAKETIME_CACHE_DURATION": str(CLOCK_IS_READ_EVERY),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


LOST_DISK = "broker loses its disk"

KINDS: Mapping[str, Blow] = {
    **{f"kill {one}": of_service(one) for one in SERVICES},
    "kill relay mid-batch": of_relay,
    "kill broker": of_server(lambda ground: ground.broker),
    "kill postgres": of_server(lambda ground: ground.postgres),
    "kill s3": of_server(lambda ground: ground.s3),
    **{f"black hole to {one}": of_way(one) for one in ("broker", "database", "files")},
    LOST_DISK: of_disk,
    "queue deleted": of_queue,
    "queue full": full_queue,
    "clock +1 h": of_clock(1),
    "clock -1 h": of_clock(-1),
}
"""Every kind of fault by its name."""


def plan(seed: int, blows: int, kinds: Sequence[str] = tuple(KINDS)) -> list[str]:
    """The faults of that seed: every kind equally often, as far as that goes, in any order."""
    dice = random.Random(seed)
    chosen = [*kinds] * (blows // len(kinds)) + dice.sample([*kinds], blows % len(kinds))
    dice.shuffle(chosen)
    return chosen


def counted(ground: Ground) -> Counter[str]:
    """How many events were told, and effects noted, until now."""
    counts: Counter[str] = Counter()
    for service in ground.running.keepers():
        query = "SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM inbox WHERE state = 'done')"
        [(told, effects)] = ground.running.rows(service, query)
        counts.update(told=told, effects=effects)
    return counts


def answered(ask: Callable[[], bool], seconds: float) -> float:
    """Seconds until `ask` says yes; what a fault refuses meanwhile is asked again."""
    began = time.monotonic()

    def asked() -> bool:
        try:
            return ask()
        except YardError:
            return False

    until(asked, seconds, pause=0.05)
    return time.monotonic() - began
