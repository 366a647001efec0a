"""Asking the running service, and showing what it said beside what is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from yard.client import Client
from yard.demo.digits import HeldOut, Picture, sketch
from yard.shapes import Service

_WIDTH, _PER_ROW = 14, 5
_REPLICA_HEADER = "x-yard-replica"


@dataclass(frozen=True)
class Prediction:
    """What the service said of one image, how sure it was (0 to 1), and which replica answered where that is told."""

    true: str
    said: str
    score: float
    picture: Picture
    replica: str = ""

    @property
    def right(self) -> bool:
        """Whether it said the true label."""
        return self.said == self.true


def predict(client: Client, service: Service, image: HeldOut) -> Prediction:
    """Send one image to the service's address. Raises YardError, with status 503 where no replica is ready."""
    answer = client.services.call(service, {"image": image.png})
    told: Any = answer.json()
    replica = answer.headers.get(_REPLICA_HEADER, "")
    return Prediction(image.label, str(told["label"]), float(told.get("score", 0.0)), image.picture, replica)


def table(made: Sequence[Prediction], *, plain: bool = False) -> str:
    """The pictures in rows, and beneath each its true label and what was said of it."""
    return "\n\n".join(_row(made[at : at + _PER_ROW], plain) for at in range(0, len(made), _PER_ROW))


def _row(made: Sequence[Prediction], plain: bool) -> str:
    lines = [] if plain else ["".join(f"{cell:<{_WIDTH}}" for cell in row) for row in _pictures(made)]
    lines.append("".join(f"{f'true {one.true}':<{_WIDTH}}" for one in made))
    lines.append("".join(f"{_said(one):<{_WIDTH}}" for one in made))
    return "\n".join(lines)


def _said(one: Prediction) -> str:
    return f"said {one.said} {one.score:.0%}" if one.right else f"SAID {one.said} {one.score:.0%}"


def _pictures(made: Sequence[Prediction]) -> list[tuple[str, ...]]:
    return list(zip(*(tuple(sketch(one.picture)) for one in made), strict=True))
