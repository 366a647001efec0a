"""Which replicas a service needs more or less of: a function over what is there (row S8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Replica:
    """One replica that has not ended, as its service sees it.

    `ready`: it answers. `draining_at`: since when nothing new is sent to it. `sick`: why it is to be replaced.
    `replace_by`: its node is drained, so another takes its place, and it answers until that one does, or until then.
    `leaving`: it was asked to stop, or runs no more.
    """

    id: str
    created_at: datetime
    ready: bool = False
    ready_at: datetime | None = None
    draining_at: datetime | None = None
    sick: str = ""
    leaving: bool = False
    address: str | None = None
    replace_by: datetime | None = None

    @property
    def active(self) -> bool:
        """Whether it counts towards the number wanted."""
        return self._stays and self.replace_by is None

    @property
    def moving(self) -> bool:
        """Whether another takes its place, and it need not go before that one is there."""
        return self._stays and self.replace_by is not None

    @property
    def routed(self) -> bool:
        """Whether requests are sent to it."""
        return self.ready and self._stays

    @property
    def _stays(self) -> bool:
        return not self.leaving and self.draining_at is None and not self.sick


@dataclass(frozen=True)
class Decision:
    """What to do now: `create` so many, `drain` these first, `stop` those at once."""

    create: int = 0
    drain: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether all is as it should be."""
        return self == Decision()


def decide(
    wanted: int,
    replicas: Sequence[Replica],
    now: datetime,
    *,
    deaths: int = 0,
    retry_at: datetime | None = None,
    drain_seconds: float = 0.5,
    told: bool = True,
    patience_seconds: float = 30.0,
    longest_pause: float = 300.0,
) -> Decision:
    """What brings `replicas` to the number wanted.

    Of too many those leave first that are not ready, then the newest. One that is routed to is drained first: it is
    stopped `drain_seconds` after its address was taken away, and not before the others were `told` (unless that takes
    longer than `patience_seconds`). One that is moving is drained when as many as are wanted answer without it, or when
    its time is over. While replicas die and none is ready, one is tried at a time, and none before
    `retry_at`. What lies further ahead than one ever waits (`patience_seconds`, `longest_pause`) was noted by a clock
    that has been set back since, and is waited for no longer.
    """
    active = [replica for replica in replicas if replica.active]
    surplus = _surplus(active, wanted)
    moved = _moved(replicas, sum(replica.ready for replica in active) >= wanted, now)
    drain = tuple(replica.id for replica in (*surplus, *moved) if replica.ready)
    stop = [replica.id for replica in (*surplus, *moved) if not replica.ready]
    drained = now - timedelta(seconds=drain_seconds if told else max(drain_seconds, patience_seconds))
    never = now + timedelta(seconds=max(drain_seconds, patience_seconds))
    for replica in replicas:
        if replica.leaving:
            continue
        if replica.sick or (replica.draining_at is not None and not drained < replica.draining_at <= never):
            stop.append(replica.id)
    if retry_at is not None and retry_at > now + timedelta(seconds=longest_pause + patience_seconds):
        retry_at = None
    return Decision(_missing(wanted, active, now, deaths, retry_at), drain, tuple(stop))


def _surplus(active: Sequence[Replica], wanted: int) -> list[Replica]:
    """Those to let go: first the ones that are not ready, then the newest."""
    order = sorted(active, key=lambda replica: (replica.ready, -replica.created_at.timestamp(), replica.id))
    return order[: max(0, len(active) - wanted)]


def _moved(replicas: Sequence[Replica], enough: bool, now: datetime) -> list[Replica]:
    """Those that are moving and needed no longer, or whose time is over; one that answers nobody is not waited for."""
    moving = [replica for replica in replicas if replica.moving]
    return [one for one in moving if enough or not one.ready or (one.replace_by is not None and one.replace_by <= now)]


def _missing(wanted: int, active: Sequence[Replica], now: datetime, deaths: int, retry_at: datetime | None) -> int:
    missing = max(0, wanted - len(active))
    if retry_at is not None and now < retry_at:
        return 0
    if deaths > 0 and not any(replica.ready for replica in active):
        return min(missing, 0 if active else 1)
    return missing
