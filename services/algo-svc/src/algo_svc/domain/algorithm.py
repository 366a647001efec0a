"""An algorithm: a training part and perhaps an inference part, on its way from draft to online (seed 002 §2.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from algo_svc.domain.errors import StillOnline
from common.contracts.algorithm import AlgorithmSnapshot
from common.contracts.shared import CodePart, InferencePart, TrainingPart, Visibility
from common.kernel.errors import Conflict, Fault
from common.kernel.states import Transitions

PRESET_OWNER = "modelyard"
"""Who owns what the platform brings: nobody who can log in."""


class AlgorithmState(StrEnum):
    """`draft`: something is missing; `ready`: it could go online; `online`: it can be trained with."""

    DRAFT = "draft"
    READY = "ready"
    ONLINE = "online"


TRANSITIONS = Transitions(
    "algorithm",
    AlgorithmState.DRAFT,
    {
        (AlgorithmState.DRAFT, "complete"): AlgorithmState.READY,
        (AlgorithmState.READY, "take apart"): AlgorithmState.DRAFT,
        (AlgorithmState.READY, "put online"): AlgorithmState.ONLINE,
        (AlgorithmState.ONLINE, "take offline"): AlgorithmState.READY,
    },
)


@dataclass(frozen=True)
class Algorithm:
    """One algorithm. `revision` grows with every change of what runs, so that lineage can name exactly that.

    `preset` is the name of the preset that it was installed from, `preset_digest` that of its definition and code.
    """

    id: str
    name: str
    owner: str
    purpose: str
    formats: tuple[str, ...]
    training: TrainingPart
    created_at: datetime
    updated_at: datetime
    inference: InferencePart | None = None
    description: str = ""
    state: AlgorithmState = AlgorithmState.DRAFT
    version: int = 1
    visibility: Visibility = Visibility.PRIVATE
    revision: int = 1
    preset: str | None = None
    preset_digest: str | None = None

    @property
    def online(self) -> bool:
        """Whether it can be trained with."""
        return self.state == AlgorithmState.ONLINE

    @property
    def shared(self) -> bool:
        """Whether others than the owner may see and use it."""
        return self.online and self.visibility != Visibility.PRIVATE

    def missing(self) -> list[Fault]:
        """What it lacks to go online."""
        lacks = _lacks("training", self.training)
        if self.inference is not None:
            lacks += _lacks("inference", self.inference)
            if self.inference.interface is None:
                lacks.append(Fault("inference.interface", "Say how the service is called."))
        return lacks

    def settled(self) -> Algorithm:
        """In the state that follows from what it has: `ready` where nothing is missing, else `draft`.

        Raises Conflict (`algorithm_online`) where it is online and would lack something.
        """
        lacks = bool(self.missing())
        if self.online and lacks:
            raise StillOnline(self.id, "what training or serving needs can't be taken away")
        if self.state == AlgorithmState.DRAFT and not lacks:
            return self._moved("complete")
        if self.state == AlgorithmState.READY and lacks:
            return self._moved("take apart")
        return self

    def edited(self, **changes: Any) -> Algorithm:
        """With these fields changed; the revision grows where what runs, or what it takes, changed."""
        after = replace(self, **changes)
        grown = self.revision + 1 if _runs(after) != _runs(self) else self.revision
        return replace(after, revision=grown).settled()

    def put_online(self) -> Algorithm:
        """Let it be trained with. Raises Conflict (`algorithm_incomplete`, `illegal_state`)."""
        if lacks := self.missing():
            names = ", ".join(fault.where for fault in lacks)
            raise Conflict("algorithm_incomplete", f"Before it can go online it needs: {names}.", faults=lacks)
        return self._moved("put online")

    def taken_offline(self) -> Algorithm:
        """Let nobody choose it any more; what runs goes on. Raises Conflict (`illegal_state`)."""
        return self._moved("take offline")

    def _moved(self, verb: str) -> Algorithm:
        return replace(self, state=TRANSITIONS.move(self.state, verb))

    def facts(self) -> dict[str, Any]:
        """The fields of the snapshot that others keep."""
        names = AlgorithmSnapshot.model_fields
        return {name: getattr(self, name) for name in names}


def _runs(algorithm: Algorithm) -> tuple[Any, ...]:
    return algorithm.training, algorithm.inference, algorithm.formats, algorithm.purpose


def _lacks(where: str, part: CodePart) -> list[Fault]:
    """What a part lacks to be run: an image is enough; else engine, code and command."""
    if part.image is not None:
        return []
    lacks = []
    if part.engine is None:
        lacks.append(Fault(f"{where}.engine", "Name an engine or an image to run it in."))
    if part.code is None:
        lacks.append(Fault(f"{where}.code", f"Upload a code package: PUT .../code/{where}."))
    if not part.command:
        lacks.append(Fault(f"{where}.command", "Say what to run, such as ['python', 'main.py']."))
    return lacks
