"""Watching a job from its queue to its end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from yard.cli.output import Output, put_json
from yard.evaluations import evaluation_text
from yard.waiting import until

if TYPE_CHECKING:
    from yard.client import Client
    from yard.shapes import Job

_ENDED = frozenset({"succeeded", "failed", "stopped", "timed_out"})


def follow_job(yard: Client, job: Job, output: Output) -> int:
    """Print its log as it is written, then how it ended; gives the command's exit code, 0 if it succeeded."""
    try:
        return _follow(yard, job, output)
    except KeyboardInterrupt:
        _note(f"The job goes on. Watch it again with: yard job log --follow {job['id']}")
        return 130


def _follow(yard: Client, job: Job, output: Output) -> int:
    _note(f"Job {job['id']} ({job['name']})")
    _wait_for_start(yard, job)
    for text in yard.jobs.follow_log(job["id"]):
        put_json({"text": text}, line=True) if output is Output.JSON else print(text, end="", flush=True)
    ended = yard.jobs.wait(job["id"])
    if output is Output.JSON:
        put_json(ended, line=True)
    else:
        _tell(ended)
    return 0 if ended["state"] == "succeeded" else 1


def _wait_for_start(yard: Client, job: Job) -> None:
    told = ""

    def note(seen: Job) -> None:
        nonlocal told
        now = ": ".join(filter(None, [seen["state"], seen.get("note") or ""]))
        if now != told:
            _note(now)
        told = now

    running = frozenset({"running", "stopping", *_ENDED})
    until(yard.http.hour, lambda: yard.jobs.show(job["id"]), lambda seen: seen["state"] in running, progress=note)


def _tell(ended: Job) -> None:
    why = ended.get("detail") or ended.get("reason") or ""
    print(f"{ended['state']}" + (f": {why}" if why and ended["state"] != "succeeded" else ""))
    if (told := ended.get("evaluation")) and told.get("classes"):
        print(evaluation_text(told))
    if ended.get("model_id"):
        print(f"model {ended['model_id']}")


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
