"""Which replica gets the next request: the one with the fewest in flight, at random among equals."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Target:
    """A ready replica as the data plane sees it. `avoid_until` (monotonic seconds) is set when it refused us."""

    replica: str
    url: str
    in_flight: int = 0
    avoid_until: float = 0.0


def pick(targets: Sequence[Target], now: float, tried: Iterable[Target] = ()) -> Target | None:
    """The next target, None where all were tried. One that refused a connection lately is the last choice."""
    rest = [target for target in targets if target not in tried] if tried else targets
    if len(rest) < 2:
        return rest[0] if rest else None
    sound = [target for target in rest if target.avoid_until <= now] or rest
    fewest = min(target.in_flight for target in sound)
    return random.choice([target for target in sound if target.in_flight == fewest])  # noqa: S311 - load, not secrets
