"""What came of a simulation, in figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from train_svc.simulate.running import Course, Outcome


@dataclass(frozen=True)
class Waiting:
    """How long those of one kind waited (seconds)."""

    name: str
    jobs: int
    mean: float
    p50: float
    p95: float
    most: float


@dataclass(frozen=True)
class Report:
    """The figures. `utilisation` is of all time until the last end; `jain` of groups' mean slowdowns, 1 is even.

    `lost_hours` are hours of accelerators (of cores where there are none) that were done over again.
    """

    makespan: float
    utilisation: float
    jain: float
    preemptions: int
    lost_hours: float
    refused: int
    admissions: int
    cycles: int
    planning: float
    longest_cycle: float
    queues: tuple[Waiting, ...]
    sizes: tuple[Waiting, ...]


def report(outcome: Outcome) -> Report:
    """The figures of an outcome."""
    trace = outcome.trace
    devices = sum(len(node.devices) for node in trace.nodes)
    there = devices or sum(queue.guaranteed.get("cpu", 0) for queue in trace.queues) / 1000
    there = there or sum(node.cpu for node in trace.nodes) / 1000
    ran = [course for course in outcome.courses.values() if course.ended is not None]
    done = sum(amount(course, bool(devices)) * (course.job.runs + course.lost) for course in ran)
    lost = sum(amount(course, bool(devices)) * course.lost for course in ran)
    return Report(
        outcome.makespan,
        done / (there * outcome.makespan) if outcome.makespan else 0.0,
        jain(_slowdowns(ran, {queue.name: queue.group for queue in trace.queues})),
        outcome.preemptions,
        lost / 3600,
        sum(course.refused for course in outcome.courses.values()),
        outcome.admissions,
        outcome.cycles,
        outcome.planning,
        outcome.longest_cycle,
        _waiting(ran, lambda course: course.job.request.queue),
        _waiting(ran, lambda course: course.job.size),
    )


def amount(course: Course, accelerators: bool) -> float:
    """How many accelerators, or cores, a job holds."""
    request = course.job.request
    return request.gang * (request.member.devices if accelerators else request.member.cpu / 1000)


def jain(values: Sequence[float]) -> float:
    """Jain's index of fairness (Jain, Chiu, Hawe, DEC-TR-301, 1984): 1 where all are equal, 1/n where one has all."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


def _slowdowns(ran: Iterable[Course], groups: dict[str, str]) -> list[float]:
    """Of each group the mean of (waiting + running) / running."""
    found: dict[str, list[float]] = {}
    for course in ran:
        slow = (course.waited + course.lost + course.job.runs) / max(course.job.runs, 1e-9)
        found.setdefault(groups[course.job.request.queue], []).append(slow)
    return [sum(values) / len(values) for _, values in sorted(found.items())]


def _waiting(ran: Iterable[Course], kind: Callable[[Course], str]) -> tuple[Waiting, ...]:
    found: dict[str, list[float]] = {}
    for course in ran:
        found.setdefault(kind(course), []).append(course.waited)
    return tuple(
        Waiting(name, len(values), sum(values) / len(values), _part(values, 0.5), _part(values, 0.95), max(values))
        for name, values in sorted(found.items())
    )


def _part(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def words(name: str, found: Report, *, queues: int = 12) -> str:
    """The figures for people; of the queues those that waited longest."""
    lines = [
        f"{name}: {found.admissions} began ({found.refused} refused) in {found.cycles} cycles",
        f"  makespan       {_time(found.makespan)}",
        f"  utilisation    {found.utilisation:.1%}",
        f"  Jain index     {found.jain:.3f} (of groups' mean slowdowns)",
        f"  preemptions    {found.preemptions}, {found.lost_hours:,.2f} accelerator hours lost",
        f"  planning       {found.planning:.2f} s of CPU, longest cycle {found.longest_cycle * 1000:.1f} ms, "
        f"{found.admissions / max(found.planning, 1e-9):,.0f} admissions a CPU second",
        f"  {'waiting':<26}{'jobs':>8}{'mean':>12}{'p50':>12}{'p95':>12}{'most':>12}",
    ]
    longest = sorted(found.queues, key=lambda waiting: -waiting.mean)[:queues]
    for waiting in (*found.sizes, *longest):
        times = "".join(f"{_time(t):>12}" for t in (waiting.mean, waiting.p50, waiting.p95, waiting.most))
        lines.append(f"  {waiting.name:<26}{waiting.jobs:>8}{times}")
    if len(found.queues) > queues:
        lines.append(f"  ({len(found.queues) - queues} more queues waited less)")
    return "\n".join(lines)


def _time(seconds: float) -> str:
    if seconds >= 7200:
        return f"{seconds / 3600:,.2f} h"
    return f"{seconds / 60:,.1f} min" if seconds >= 600 else f"{seconds:,.2f} s"
