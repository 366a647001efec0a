"""What algo-svc tells of algorithms."""

from __future__ import annotations

from typing import ClassVar

from common.contracts.shared import InferencePart, TrainingPart, Visibility
from common.kernel.events import EventData


class AlgorithmSnapshot(EventData):
    """An algorithm whole: enough to run a job and later its service without asking again."""

    id: str
    name: str
    owner: str
    visibility: Visibility
    purpose: str
    formats: tuple[str, ...]
    online: bool
    revision: int = 1
    training: TrainingPart
    inference: InferencePart | None = None


class AlgorithmOnline(AlgorithmSnapshot):
    """The algorithm can be trained with from now on."""

    type: ClassVar[str] = "algorithm.online"


class AlgorithmOffline(EventData):
    """The algorithm can no longer be chosen."""

    type: ClassVar[str] = "algorithm.offline"
    id: str


class AlgorithmChanged(AlgorithmSnapshot):
    """Any field changed; the whole snapshot."""

    type: ClassVar[str] = "algorithm.changed"


class AlgorithmDeleted(EventData):
    """The algorithm is gone."""

    type: ClassVar[str] = "algorithm.deleted"
    id: str
