"""State machines as tables: one table per aggregate, moved only by verbs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from common.kernel.errors import Conflict

S = TypeVar("S", bound=StrEnum)


class Transitions(Generic[S]):
    """A table `(state, verb) -> state`.

    The constructor refuses a table with a state that can't be reached from `initial`, or one that is neither
    final nor has a way out, so that a wrong table fails at import and not in production.
    """

    def __init__(self, name: str, initial: S, moves: Mapping[tuple[S, str], S], final: Iterable[S] = ()) -> None:
        self.name = name
        self.initial = initial
        self.moves = dict(moves)
        self.final = frozenset(final)
        self._check(type(initial))

    def _check(self, states: type[S]) -> None:
        reached = {self.initial}
        while new := {to for (at, _), to in self.moves.items() if at in reached} - reached:
            reached |= new
        if lost := set(states) - reached:
            raise ValueError(f"{self.name}: {', '.join(sorted(lost))} can't be reached from {self.initial}")
        leaving = {at for at, _ in self.moves}
        if stuck := set(states) - leaving - self.final:
            raise ValueError(f"{self.name}: no way out of {', '.join(sorted(stuck))}, which is not final")

    def verbs(self, state: S) -> tuple[str, ...]:
        """What can be done in that state, in the table's order."""
        return tuple(verb for (at, verb) in self.moves if at == state)

    def allows(self, state: S, verb: str) -> bool:
        """Whether that verb is legal there."""
        return (state, verb) in self.moves

    def move(self, state: S, verb: str) -> S:
        """The state that follows. Raises Conflict (`illegal_state`) where the table has no such move."""
        try:
            return self.moves[state, verb]
        except KeyError:
            allowed = ", ".join(self.verbs(state)) or "nothing"
            raise Conflict(
                "illegal_state",
                f"The {self.name} is {state}: it can't {verb} now. Possible: {allowed}.",
                state=str(state),
                allowed=list(self.verbs(state)),
            ) from None

    def mermaid(self) -> str:
        """The table as a Mermaid state diagram, the one that each README shows."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial}"]
        lines += [f"    {at} --> {to}: {verb}" for (at, verb), to in self.moves.items()]
        lines += [f"    {state} --> [*]" for state in sorted(self.final)]
        return "\n".join(lines)
