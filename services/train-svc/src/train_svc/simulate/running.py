"""Running a trace: events in order of time, the real planner after each moment that has any."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field

from train_svc.domain.scheduling.planner import State, plan
from train_svc.domain.scheduling.values import Admit, Delta, Preempt, Refuse, Request, Snapshot
from train_svc.simulate.traces import Job, Trace


@dataclass
class Course:
    """How one job went. Times are seconds of the simulation; `lost` is what was done over again, in run time."""

    job: Job
    began: float | None = None
    waited: float = 0.0
    ended: float | None = None
    left: float = 0.0
    waits_since: float = 0.0
    preempted: int = 0
    lost: float = 0.0
    refused: bool = False


@dataclass
class Outcome:
    """What came of a trace. `points` are (time, accelerators or cores in use by queue, waiting) for the plot."""

    trace: Trace
    courses: dict[str, Course] = field(default_factory=dict)
    points: list[tuple[float, dict[str, int], int]] = field(default_factory=list)
    admissions: int = 0
    preemptions: int = 0
    cycles: int = 0
    longest_cycle: float = 0.0
    planning: float = 0.0
    makespan: float = 0.0


def simulate(trace: Trace) -> Outcome:
    """Run a trace to its end. `planning` is the CPU time that plans took (s)."""
    return _Run(trace).run()


class _Run:
    def __init__(self, trace: Trace) -> None:
        self.outcome = Outcome(trace, {job.request.id: Course(job, left=job.runs) for job in trace.jobs})
        self.state = State.of(Snapshot(trace.policy, trace.nodes, trace.queues))
        self.resource = "gpu" if any(node.devices for node in trace.nodes) else "cpu"
        self.events: list[tuple[float, int, str, int]] = []
        for job in trace.jobs:
            heapq.heappush(self.events, (job.request.submitted, 1, job.request.id, 0))
        self.now = 0.0
        self.used: dict[str, int] = {}
        self.waiting = 0

    def run(self) -> Outcome:
        while self.events:
            self.now = self.events[0][0]
            submitted: list[Request] = []
            ended: list[str] = []
            while self.events and self.events[0][0] <= self.now:
                _, kind, name, attempt = heapq.heappop(self.events)
                self._happened(kind, name, attempt, submitted, ended)
            self._plan(Delta(tuple(submitted), tuple(ended)))
            self._note()
        self.outcome.makespan = max((c.ended or 0.0 for c in self.outcome.courses.values()), default=0.0)
        return self.outcome

    def _happened(self, kind: int, name: str, attempt: int, submitted: list[Request], ended: list[str]) -> None:
        """A submission (1), an end (0) of an attempt that was not ended before its time, or a victim's end (2)."""
        course = self.outcome.courses[name]
        if kind == 1:
            course.waits_since = self.now
            submitted.append(course.job.request)
            self.waiting += 1
        elif attempt == course.preempted * 2 and kind == 0:
            course.ended = self.now
            ended.append(name)
            self._uses(course, -1)
        elif attempt == course.preempted * 2 + 1 and kind == 2:
            self._stopped(course)
            ended.append(name)
            submitted.append(course.job.request)

    def _stopped(self, course: Course) -> None:
        """A victim goes back to its place, and has lost what it did since its last checkpoint."""
        ran = self.now - (course.began or 0.0)
        every = course.job.checkpoint
        kept = ran if course.left <= ran else (ran // every * every if every else 0.0)
        course.lost += ran - kept
        course.left -= kept
        course.preempted += 1
        course.waits_since, course.began = self.now, None
        self.waiting += 1
        self._uses(course, -1)

    def _uses(self, course: Course, sign: int) -> None:
        request = course.job.request
        each = request.member.devices if self.resource == "gpu" else request.member.cpu
        self.used[request.queue] = self.used.get(request.queue, 0) + sign * each * request.gang

    def _plan(self, delta: Delta) -> None:
        before = time.process_time()
        self.state, decisions = plan(self.state, delta, self.now)
        took = time.process_time() - before
        outcome = self.outcome
        outcome.planning, outcome.cycles = outcome.planning + took, outcome.cycles + 1
        outcome.longest_cycle = max(outcome.longest_cycle, took)
        for decision in decisions:
            if isinstance(decision, Admit):
                self._begin(outcome.courses[decision.id])
            elif isinstance(decision, Preempt):
                outcome.preemptions += len(decision.victims)
                for victim in decision.victims:
                    self._end_victim(victim, decision.grace)
            elif isinstance(decision, Refuse):
                outcome.courses[decision.id].refused = True
                self.waiting -= 1

    def _begin(self, course: Course) -> None:
        self.outcome.admissions += 1
        self.waiting -= 1
        course.began = self.now
        course.waited += self.now - course.waits_since
        self._uses(course, 1)
        heapq.heappush(self.events, (self.now + course.left, 0, course.job.request.id, course.preempted * 2))

    def _end_victim(self, victim: str, grace: float) -> None:
        """It ends after its grace, unless it is done before."""
        course = self.outcome.courses[victim]
        done = (course.began or 0.0) + course.left
        if done > self.now + grace:
            heapq.heappush(self.events, (self.now + grace, 2, victim, course.preempted * 2 + 1))

    def _note(self) -> None:
        self.outcome.points.append((self.now, dict(self.used), self.waiting))
