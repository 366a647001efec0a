"""Events that could not be handled, and their replay."""

from __future__ import annotations

from typing import TypedDict


class DeadLetter(TypedDict, total=False):
    """An event that a handler of `service` could not take; `kept` says whether its inbox or the broker has it."""

    id: str
    service: str
    handler: str
    kept: str
    event_id: str | None
    type: str | None
    subject: str | None
    attempts: int | None
    error: str
    since: str | None
    advice: str


class Unanswered(TypedDict):
    """A service of which nothing, or not everything, was told."""

    service: str
    reason: str


class DeadLetters(TypedDict):
    """Dead letters, and the services that did not answer."""

    items: list[DeadLetter]
    unavailable: list[Unanswered]


class NotReplayed(TypedDict):
    """Why one was not replayed."""

    id: str
    code: str
    detail: str


class Replayed(TypedDict):
    """The ids of what was given back, and what was not."""

    replayed: list[str]
    failed: list[NotReplayed]
