"""What a simulation runs: a cluster with its queues, and submissions, read from JSON lines or made up."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from common.ports.inventory import Device
from train_svc.domain.scheduling.values import Member, Node, Policy, Queue, Request


class Job(NamedTuple):
    """A submission, and how long it really runs (seconds). A `checkpoint` is written every so often; 0 is never."""

    request: Request
    runs: float
    size: str
    checkpoint: float = 0.0


@dataclass(frozen=True)
class Trace:
    """All that a simulation starts from."""

    name: str
    nodes: tuple[Node, ...]
    queues: tuple[Queue, ...]
    jobs: tuple[Job, ...]
    policy: Policy = field(default_factory=Policy)


class Shape(NamedTuple):
    """One size of Kueue's performance tests: how many a queue gets, one each `every` seconds."""

    size: str
    many: int
    asks: int
    runs: float
    priority: int
    every: float


KUEUE_BASELINE = (
    Shape("small", 350, 1, 0.2, 50, 0.1),
    Shape("medium", 100, 5, 0.5, 100, 0.5),
    Shape("large", 50, 20, 1.0, 200, 1.2),
)
KUEUE_LARGE = (
    Shape("small", 35, 1, 0.15, 50, 0.06),
    Shape("medium", 11, 5, 0.35, 100, 0.3),
    Shape("large", 4, 20, 0.7, 200, 0.7),
)
QUOTA, BORROWING = 20, 100
CORE = 1000
"""A request of 1 is a core, in millicores."""


def kueue(name: str, cohorts: int, queues: int, shapes: Iterable[Shape], *, preempt: bool) -> Trace:
    """The shapes of Kueue's own performance tests (kubernetes-sigs/kueue, test/performance/scheduler)."""
    names = [(f"cohort-{c}", f"cohort-{c}-queue-{q}") for c in range(cohorts) for q in range(queues)]
    quota, borrowing = {"cpu": QUOTA * CORE}, {"cpu": BORROWING * CORE}
    made = tuple(Queue(queue, queue, quota, borrowing=borrowing, cohort=cohort) for cohort, queue in names)
    jobs = [
        Job(
            Request(
                f"{queue}-{shape.size}-{n}",
                queue,
                "user",
                Member(cpu=shape.asks * CORE),
                n * shape.every,
                priority=shape.priority,
                preemptible=preempt,
                time_limit=shape.runs,
            ),
            shape.runs,
            shape.size,
        )
        for shape in shapes
        for n in range(shape.many)
        for _, queue in names
    ]
    node = Node("all", cohorts * queues * QUOTA * CORE, 0)
    return Trace(name, (node,), made, tuple(jobs), Policy(preempt=preempt, grace=0.0))


def bound(trace: Trace) -> float:
    """The least makespan: of each cohort its last arrival with its run time, or all its work over its quota (s)."""
    cohort_of = {queue.name: queue.cohort for queue in trace.queues}
    quota: dict[str | None, int] = {}
    for queue in trace.queues:
        quota[queue.cohort] = quota.get(queue.cohort, 0) + queue.guaranteed["cpu"]
    work: dict[str | None, float] = {}
    last = 0.0
    for job in trace.jobs:
        cohort = cohort_of[job.request.queue]
        work[cohort] = work.get(cohort, 0.0) + job.request.member.cpu * job.runs
        last = max(last, job.request.submitted + job.runs)
    return max(last, *(amount / quota[cohort] for cohort, amount in work.items()))


HOURS = (0.5, 1.0, 4.0, 12.0)
SIZES = ((1, 1, 35), (2, 1, 15), (4, 1, 15), (8, 1, 25), (8, 2, 6), (8, 4, 3), (8, 16, 1))
"""Accelerators a member, members, and how many of a hundred are so: as clusters of research groups look."""


def cluster(name: str, nodes: int, jobs: int, *, seed: int = 1, over: float = 0.0, preempt: bool = True) -> Trace:
    """Nodes of 8 accelerators in domains of 32, ten groups with five users each; submitted within `over` seconds."""
    chance = random.Random(seed)  # noqa: S311 (a trace that is the same each time)
    devices = tuple(Device(f"gpu-{n}", "gpu", "H200", simulated=True) for n in range(8))
    made = tuple(Node(f"node-{n:05}", 128 * CORE, 1 << 40, devices, domain=f"rack-{n // 32:04}") for n in range(nodes))
    share = nodes * 8 // 10
    queues = tuple(
        Queue(f"group-{g}", f"group-{g}", {"gpu": share}, cohort="all", weight=1.0 + g % 2) for g in range(10)
    )
    weights = [size[2] for size in SIZES]
    work = []
    for n in range(jobs):
        each, gang, _ = chance.choices(SIZES, weights)[0]
        limit = chance.choice(HOURS) * 3600
        request = Request(
            f"job-{n:06}",
            f"group-{chance.randrange(10)}",
            f"user-{chance.randrange(5)}",
            Member(each * 8 * CORE, each << 35, "gpu", each),
            chance.uniform(0, over) if over else 0.0,
            gang=gang,
            priority=chance.choice((0, 0, 0, 10)),
            preemptible=chance.random() < 0.5,
            min_run=600.0,
            time_limit=limit,
        )
        work.append(Job(request, limit * chance.uniform(0.2, 1.0), f"{each * gang} GPU", 1800.0))
    return Trace(name, made, queues, tuple(work), Policy(preempt=preempt))


SHAPES: Mapping[str, Callable[[bool], Trace]] = {
    "kueue-baseline": lambda preempt: kueue("kueue-baseline", 5, 6, KUEUE_BASELINE, preempt=preempt),
    "kueue-large": lambda preempt: kueue("kueue-large", 10, 100, KUEUE_LARGE, preempt=preempt),
    "cluster-10k": lambda preempt: cluster("cluster-10k", 10_000, 100_000, over=4 * 86400.0, preempt=preempt),
    "cluster-100": lambda preempt: cluster("cluster-100", 100, 1_500, over=86400.0, preempt=preempt),
}


def read(path: Path) -> Trace:
    """A trace file: JSON lines, each a `node` (as many of it as its `many`), a `queue`, or a `job`.

    Amounts are as in the API: cores, bytes, seconds. Raises ValueError that names the line that is wrong.
    """
    nodes: list[Node] = []
    queues: list[Queue] = []
    jobs: list[Job] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            ((kind, value),) = said.items()
            if kind == "node":
                nodes += _nodes(value)
            elif kind == "queue":
                queues.append(_queue(value))
            elif kind == "job":
                jobs.append(_job(value, len(jobs)))
            else:
                raise ValueError(f"there is no {kind!r}; a line is a node, a queue or a job")
        except (ValueError, KeyError, TypeError, AttributeError) as wrong:
            raise ValueError(f"{path}, line {number}: {wrong!r}. A line is like {_EXAMPLE}") from wrong
    return Trace(path.stem, tuple(nodes), tuple(queues) or (Queue("default", "everybody"),), tuple(jobs))


_EXAMPLE = '{"job": {"id": "a", "at": 0, "runs": 60, "gpu": 2, "nodes": 1}}'


def _nodes(value: Mapping[str, Any]) -> Iterator[Node]:
    for n in range(value.get("many", 1)):
        devices = tuple(
            Device(f"{kind}-{i}", kind, value.get("model", "simulated"), simulated=True)
            for kind in ("gpu", "npu")
            for i in range(value.get(kind, 0))
        )
        name = value["name"] if value.get("many", 1) == 1 else f"{value['name']}-{n}"
        cpu = round(value.get("cpu", 1e6) * CORE)
        yield Node(name, cpu, value.get("memory", 1 << 60), devices, value.get("labels", {}), value.get("domain", ""))


def _amounts(value: Mapping[str, float]) -> dict[str, int]:
    return {name: round(n * CORE) if name == "cpu" else int(n) for name, n in value.items()}


def _queue(value: Mapping[str, Any]) -> Queue:
    return Queue(
        value["name"],
        value.get("group", value["name"]),
        _amounts(value.get("guaranteed", {})),
        _amounts(value.get("maximum", {})),
        _amounts(value["borrowing"]) if "borrowing" in value else None,
        value.get("cohort"),
        value.get("weight", 1.0),
    )


def _job(value: Mapping[str, Any], number: int) -> Job:
    kind = next((kind for kind in ("gpu", "npu") if value.get(kind)), None)
    devices = value.get(kind, 0) if kind else 0
    gang = value.get("nodes", 1)
    request = Request(
        str(value.get("id", f"job-{number}")),
        value.get("queue", "default"),
        value.get("user", "user"),
        Member(round(value.get("cpu", 0) * CORE), value.get("memory", 0), kind, devices, value.get("model")),
        float(value["at"]),
        gang=gang,
        priority=value.get("priority", 0),
        preemptible=value.get("preemptible", False),
        min_run=float(value.get("min_run", 0.0)),
        time_limit=value.get("time_limit"),
    )
    size = f"{devices * gang} {kind.upper()}" if kind else "CPU"
    return Job(request, float(value["runs"]), size, float(value.get("checkpoint", 0.0)))
