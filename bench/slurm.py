"""Through the whole platform with jobs that do nothing, against Slurm on the same machine, eight GPU slots each.

Ours is the embedded platform (one process, SQLite, the `process:` runtime, jobs posted over HTTP) with eight simulated
GPUs; Slurm is `bench/slurm_peer`. Both run the same line of shell, which writes down when it began, so nobody is asked
how it stands while the clock runs. A job of ours is more than Slurm's: code, dataset and results are staged, its log
is kept, its end is an event. Where Slurm is not installed that is said, and our own figures stand alone.

What waits 10,000 long is measured on ours alone: from the end of a job that says when it ends to the beginning of the
one that gets its GPU; and a complete pass of the planner over all of them, in CPU seconds of the planner alone.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import submit
from bench.house import median, password, percentile, platform, row
from bench.slurm_peer import GPUS, missing, slurm
from train_svc.domain.scheduling.planner import State, plan
from train_svc.domain.scheduling.values import Delta, Snapshot
from train_svc.simulate.traces import cluster
from yard import Client

NAME = "slurm"

STARTS, SLURM_STARTS = 30, 8
DRAINED = 200
PENDING = int(os.environ.get("BENCH_PENDING", "10000"))
FREED = min(80, PENDING // 2)
SENDERS = 4
PATIENCE_SECONDS = 300.0
BETWEEN_SECONDS = 0.5

GOAL_START = 0.05
GOAL_DRAIN = 12.0
GOAL_FREED_MS = 40.0
GOAL_PASS_SECONDS = 0.5

Submit = Callable[[], object]


class Sheet:
    """What every job runs, and where it writes down when: in a folder that workloads of other users may use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = f". {folder}/job"
        folder.chmod(0o755)

    def runs(self, line: str) -> None:
        """What jobs do that begin from now on; `$starts` and `$ends` are files, `$go` says that blockers may end."""
        names = "".join(f"{name}={self.folder / name}\n" for name in ("starts", "ends", "go"))
        (self.folder / "next").write_text(f"{names}{line}\n")
        (self.folder / "next").replace(self.folder / "job")  # whoever reads the old one reads it to its end
        (self.folder / "go").unlink(missing_ok=True)
        for name in ("starts", "ends"):
            (self.folder / name).write_text("")
            (self.folder / name).chmod(0o666)

    def stamps(self, name: str, count: int) -> list[int]:
        """The first so many nanoseconds in that file, once they are there. Raises RuntimeError where none comes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(stamps := sorted(map(int, (self.folder / name).read_text().split()))) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {len(stamps)} of {count} jobs wrote into {name}")
            time.sleep(0.01)
        return stamps[:count]


STAMP = "date +%s%N >> $starts"
BLOCK = f"{STAMP}; until [ -e $go ]; do sleep 0.02; done"
STAY = f"{STAMP}; sleep 1; date +%s%N >> $ends"


def to_start(sheet: Sheet, one: Submit, count: int) -> list[float]:
    """Milliseconds from asking to running, one after another on an idle machine."""
    took = []
    for _ in range(count):
        sheet.runs(STAMP)
        asked = time.time_ns()
        one()
        took.append((sheet.stamps("starts", 1)[0] - asked) / 1e6)
        time.sleep(BETWEEN_SECONDS)
    return took


def drain(sheet: Sheet, one: Submit) -> float:
    """Jobs a second, from the moment when the slots that all wait for get free, to the beginning of the last."""
    block(sheet, one)
    go = sheet.folder / "go"
    (sheet.folder / "next").write_text(f"starts={sheet.folder}/starts\n{STAMP}\n")
    (sheet.folder / "next").replace(sheet.folder / "job")
    many(one, DRAINED)
    began = time.time_ns()
    go.touch()
    return DRAINED / ((sheet.stamps("starts", GPUS + DRAINED)[-1] - began) / 1e9)


def block(sheet: Sheet, one: Submit) -> None:
    """Give every slot to a job that ends when `$go` is there."""
    sheet.runs(BLOCK)
    for _ in range(GPUS):
        one()
    sheet.stamps("starts", GPUS)


def many(one: Submit, count: int) -> None:
    """Submit so many, a few at a time."""
    with ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(lambda _: one(), range(count)))


def freed(sheet: Sheet, one: Submit) -> list[float]:
    """Milliseconds from the end of a job to the beginning of the next on its GPU, while 10,000 wait."""
    block(sheet, one)
    names = "".join(f"{name}={sheet.folder / name}\n" for name in ("starts", "ends"))
    (sheet.folder / "next").write_text(f"{names}{STAY}\n")
    (sheet.folder / "next").replace(sheet.folder / "job")
    many(one, PENDING)
    (sheet.folder / "go").touch()
    ends = sheet.stamps("ends", FREED)
    starts = sheet.stamps("starts", 2 * GPUS + FREED)[2 * GPUS :]  # the blockers, and those that came after them
    return [(start - end) / 1e6 for start, end in zip(starts, ends, strict=True)]


def whole_pass() -> float:
    """CPU seconds of a plan from nothing: one node of eight GPUs, ten groups of five users, all of it waiting."""
    trace = cluster("slurm", 1, 2 * PENDING)
    requests = tuple(job.request for job in trace.jobs if job.request.gang == 1)[:PENDING]
    queues = tuple(replace(queue, guaranteed={"gpu": 1}) for queue in trace.queues)
    began = time.process_time()
    _, decisions = plan(State.of(Snapshot(trace.policy, trace.nodes, queues, waiting=requests)), Delta(), 0.0)
    took = time.process_time() - began
    assert decisions
    assert len(requests) == PENDING
    return took


@contextmanager
def ours(sheet: Sheet) -> Iterator[Submit]:
    """A platform with eight simulated GPUs."""
    with platform(YARD_SIMULATED_GPUS=str(GPUS)) as (running, settings), Client(running.address) as client:
        client.login("admin", password(settings))
        made = submit.prepare(client, ("sh", "-c", sheet.script), "gpu")
        job = {**made, "resources": {"cpu": 0.1, "accelerator": "gpu", "count": 1}}
        yield lambda: client.jobs.create(**job)


def run() -> list[dict[str, Any]]:
    """Ours, Slurm's where it is installed, and the figures with 10,000 waiting."""
    with tempfile.TemporaryDirectory(prefix="yard-bench-") as folder:
        sheet = Sheet(Path(folder))
        with ours(sheet) as one:
            start, rate = percentile(to_start(sheet, one, STARTS), 0.5), drain(sheet, one)
        with ours(sheet) as one:
            waits = freed(sheet, one)
        absent = missing()
        if absent is None:
            with slurm() as peer:
                peers = median(to_start(sheet, lambda: peer.submit(sheet.script), SLURM_STARTS))
                peers_rate = drain(sheet, lambda: peer.submit(sheet.script))
    rows = _alone(start, rate, absent) if absent else _against(start, rate, peers, peers_rate)
    p50, p99, whole = median(waits), percentile(waits, 0.99), whole_pass()
    goal = f"<= {GOAL_FREED_MS:.0f} ms"
    return [
        *rows,
        row(
            f"slurm: freed GPU to next job, {PENDING:,} wait",
            p50,
            "ms p50",
            GOAL_FREED_MS,
            goal=goal,
            met=p50 <= GOAL_FREED_MS,
        ),
        row("slurm: the same, p99", p99, "ms", p50, goal="reported", met=True),
        row(
            f"slurm: a plan over {PENDING:,} that wait",
            whole,
            "CPU s",
            GOAL_PASS_SECONDS,
            goal=f"<= {GOAL_PASS_SECONDS} s",
            met=whole <= GOAL_PASS_SECONDS,
        ),
    ]


def _against(start: float, rate: float, peers: float, peers_rate: float) -> list[dict[str, Any]]:
    met, faster = start <= GOAL_START * peers, rate >= GOAL_DRAIN * peers_rate
    return [
        row("slurm: submit to start, p50, of Slurm's", start, "ms", peers, goal=f"<= {GOAL_START}", met=met),
        row(
            f"slurm: drain of {GPUS} GPU slots, of Slurm's",
            rate,
            "jobs/s",
            peers_rate,
            goal=f">= {GOAL_DRAIN:.0f}",
            met=faster,
        ),
    ]


def _alone(start: float, rate: float, absent: str) -> list[dict[str, Any]]:
    print(f"{absent}: the figures against it are ours alone.", file=sys.stderr)
    return [
        row("slurm: submit to start, p50, Slurm absent", start, "ms", start, goal="reported", met=True),
        row(f"slurm: drain of {GPUS} GPU slots, Slurm absent", rate, "jobs/s", rate, goal="reported", met=True),
    ]
