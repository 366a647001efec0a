"""Queues and priority classes as people name them: whose queue is whose, and what is wrong with a choice or a quota."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from common.kernel.errors import Fault
from train_svc.domain.asking import DEFAULT_QUEUE, MILLI
from train_svc.domain.job import JobRequest
from train_svc.domain.scheduling.values import Amounts, Queue

_LONGEST_NAME = 63


def usable_queues(queues: Iterable[Queue], groups: Sequence[str], *, everyone: bool = False) -> tuple[str, ...]:
    """The names of the queues that somebody of these groups may use, the one that is meant without a name first.

    Every group's own queues come in the order of the groups; the default queue is everybody's. With `everyone`
    (administrators) the others follow.
    """
    known = list(queues)
    own = [queue.name for group in groups for queue in known if queue.group == group]
    rest = [queue.name for queue in known] if everyone else []
    return tuple(dict.fromkeys([*own, DEFAULT_QUEUE, *rest]))


def queue_faults(request: JobRequest, usable: Collection[str], classes: Mapping[str, int]) -> Iterator[Fault]:
    """What is wrong with the queue and the priority class that a job names."""
    if request.queue is not None and request.queue not in usable:
        yield Fault("queue", f"There is no queue {request.queue!r} for you; there are {', '.join(usable)}.")
    if request.priority_class is None:
        return
    if request.priority_class not in classes:
        there = ", ".join(f"{name} ({value})" for name, value in classes.items()) or "none"
        yield Fault("priority_class", f"There is no class {request.priority_class!r}; there are {there}.")
    if request.priority:
        yield Fault("priority", "Name a priority class, or a priority: not both.")


@dataclass(frozen=True)
class QueueRequest:
    """What an administrator says of a queue. Amounts are cores for `cpu`, bytes for `memory`, else pieces."""

    group: str
    guaranteed: Mapping[str, float]
    maximum: Mapping[str, float]
    borrowing: Mapping[str, float] | None = None
    cohort: str | None = None
    weight: float = 1.0
    per_user: Mapping[str, float] = field(default_factory=dict)


def faults_of(name: str, request: QueueRequest, others: Iterable[Queue]) -> Iterator[Fault]:
    """What is wrong with a queue of that name."""
    if not name.replace("-", "").isalnum() or not name.isascii() or name.lower() != name or len(name) > _LONGEST_NAME:
        yield Fault("name", f"Lower-case letters, digits and -, {_LONGEST_NAME} at most; not {name!r}.")
    if not (math.isfinite(request.weight) and request.weight >= 0):
        yield Fault("weight", "A number that is not negative; with 0 its group comes last.")
    if name == DEFAULT_QUEUE and request.group != DEFAULT_QUEUE:
        yield Fault("group", f"The queue {DEFAULT_QUEUE} is for everybody; its group is {DEFAULT_QUEUE}.")
    taken = [queue.name for queue in others if queue.group == request.group and queue.name != name]
    if taken and DEFAULT_QUEUE in taken:
        yield Fault("group", f"{DEFAULT_QUEUE!r} names no group.")
    quotas = {"guaranteed": request.guaranteed, "maximum": request.maximum, "per_user": request.per_user}
    for where, amounts in quotas.items():
        yield from _amount_faults(where, amounts)
    yield from _amount_faults("borrowing", request.borrowing or {})
    for resource, most in request.maximum.items():
        if request.guaranteed.get(resource, 0) > most:
            yield Fault(f"maximum.{resource}", "It is not below what is guaranteed.")
    if request.cohort is None and request.borrowing is not None:
        yield Fault("borrowing", "Only within a cohort can a queue borrow: name its cohort.")


def _amount_faults(where: str, amounts: Mapping[str, float]) -> Iterator[Fault]:
    for resource, amount in amounts.items():
        if not math.isfinite(amount) or amount < 0:
            yield Fault(f"{where}.{resource}", "A number that is not negative.")
        elif resource != "cpu" and amount != int(amount):
            yield Fault(f"{where}.{resource}", "A whole number.")


def queue_of(name: str, request: QueueRequest) -> Queue:
    """The queue as it is planned by."""
    return Queue(
        name,
        request.group,
        counted(request.guaranteed),
        counted(request.maximum),
        None if request.borrowing is None else counted(request.borrowing),
        request.cohort,
        request.weight,
        counted(request.per_user),
    )


def counted(amounts: Mapping[str, float]) -> dict[str, int]:
    """In whole numbers: CPU in millicores."""
    return {
        resource: round(amount * MILLI) if resource == "cpu" else int(amount) for resource, amount in amounts.items()
    }


def told(amounts: Amounts) -> dict[str, float]:
    """As people say them: CPU in cores."""
    return {resource: amount / MILLI if resource == "cpu" else amount for resource, amount in amounts.items()}
