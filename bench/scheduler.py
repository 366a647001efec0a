"""The planner alone, under a simulated clock: Kueue's own shapes, and 10,000 nodes with 100,000 requests that wait.

What planning costs is CPU time of this process, since other work on the machine must not count; memory is what a
process of its own grows by, nodes and requests included. Kueue publishes no makespans, so the limit is the least that
any scheduler could reach.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time

import psutil

from bench.house import median, row
from train_svc.domain.scheduling.planner import State, plan
from train_svc.domain.scheduling.values import Admit, Delta, Snapshot
from train_svc.simulate.report import report
from train_svc.simulate.running import simulate
from train_svc.simulate.traces import SHAPES, bound, cluster

NAME = "scheduler"
OVER_BOUND = 1.05
ADMISSIONS = 2000.0
FULL_SECONDS = 2.0
CYCLE_MS = 10.0
MEMORY_MB = 1000.0
NODES, WAITING, CYCLES = 10_000, 100_000, 200


def run() -> list[dict]:
    """The figures of Kueue's shapes, then of the large cluster."""
    rows = [figure for shape in ("kueue-baseline", "kueue-large") for figure in kueue(shape)]
    out = subprocess.run([sys.executable, "-m", "bench.scheduler"], capture_output=True, text=True, check=True).stdout
    full, cycle, worst, memory, waiting = map(float, out.split())
    size = f"{NODES:,} nodes, {WAITING:,} requests"
    return [
        *rows,
        row("scheduler.full", full, f"CPU s, {size}", FULL_SECONDS, goal="< 2 s", met=full < FULL_SECONDS),
        row("scheduler.cycle", cycle, f"CPU ms, {waiting:,.0f} wait", CYCLE_MS, goal="< 10 ms", met=cycle < CYCLE_MS),
        row("scheduler.cycle.p99", worst, "CPU ms", CYCLE_MS, goal="told", met=True),
        row("scheduler.memory", memory, "MB", MEMORY_MB, goal="< 1 GB", met=memory < MEMORY_MB),
    ]


def kueue(shape: str) -> list[dict]:
    """Makespan and cost without preemption; with it the makespan and the work that was lost."""
    trace = SHAPES[shape](False)
    outcome, least = simulate(trace), bound(trace)
    rate = outcome.admissions / outcome.planning
    met = outcome.makespan <= OVER_BOUND * least
    with_preemption = simulate(SHAPES[shape](True))
    found = report(with_preemption)
    lost = found.lost_hours * 3600
    name = f"scheduler.{shape}"
    return [
        row(f"{name}.makespan", outcome.makespan, "s against the bound", least, goal="<= 1.05", met=met),
        row(f"{name}.admissions", rate, "a CPU second", ADMISSIONS, goal=">= 2,000", met=rate >= ADMISSIONS),
        row(f"{name}.preempting", with_preemption.makespan, "s, any reclaim", least, goal="told", met=True),
        row(f"{name}.lost", lost, f"core s, {found.preemptions:,} preempted", 1.0, goal="told", met=True),
    ]


def large() -> None:
    """In a process of its own: a full plan of an empty cluster, then a cycle for each of many that end."""
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss
    trace = cluster("cluster-10k", NODES, WAITING)
    requests = tuple(job.request for job in trace.jobs)
    gc.collect()
    gc.freeze()
    began = time.process_time()
    state = State.of(Snapshot(trace.policy, trace.nodes, trace.queues, waiting=requests))
    state, decisions = plan(state, Delta(), 0.0)
    full = time.process_time() - began
    memory = (process.memory_info().rss - before) / 1e6
    started = [decision.id for decision in decisions if isinstance(decision, Admit)]
    waiting = len(requests) - len(started)
    gc.collect()
    gc.freeze()  # as a service does after its start: what stays is not looked through again and again
    took = []
    for n in range(CYCLES):
        began = time.process_time()
        state, _ = plan(state, Delta(ended=(started[n * (len(started) // CYCLES)],)), 60.0 + n)
        took.append((time.process_time() - began) * 1000)
    print(full, median(took), sorted(took)[int(0.99 * CYCLES)], memory, waiting)


if __name__ == "__main__":
    large()
