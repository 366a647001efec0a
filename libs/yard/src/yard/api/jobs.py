"""Jobs: run, follow log and curves live, stop, start again, results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from yard.api.group import Group
from yard.downloads import Got, download, facts_of
from yard.errors import YardError
from yard.shapes import Attempt, File, Job, LogPart, Metrics
from yard.sse import follow
from yard.waiting import until

USUAL_RATIO = 0.8
ENDED = frozenset({"succeeded", "failed", "stopped", "timed_out"})


class Jobs(Group[Job]):
    """`/jobs`."""

    collection, noun = "jobs", "job"

    def create(
        self,
        name: str,
        *,
        algorithm_id: str,
        dataset_id: str | None = None,
        formatted_set_id: str | None = None,
        validation: Mapping[str, Any] | None = None,
        description: str = "",
        ratio: float | Literal["usual"] | None = "usual",
        seed: int = 0,
        parameters: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        resources: Mapping[str, Any] | None = None,
        time_limit_seconds: float | None = None,
        priority: int | None = None,
        priority_class: str | None = None,
        queue: str | None = None,
        preemptible: bool | None = None,
        mounts: Sequence[Mapping[str, Any]] | None = None,
        stream: bool = False,
        start: bool = True,
        dataset_after: int | None = None,
        algorithm_after: int | None = None,
        key: str | None = None,
    ) -> Job:
        """Make a job and, with `start`, queue it at once.

        It trains on `dataset_id` or else on `formatted_set_id`. `validation` is `{"dataset_id": id}`, also with
        `version` and `part` (`train` or `test`), or `{"formatted_set_id": id}`. `ratio` is the share to train on
        (None: the dataset's own test set, or all of it; `usual`: 0.8 of a dataset for which there is nothing else to
        validate on); `resources` is `{"spec": "small"}` or `{"cpu": cores, "memory": bytes, "accelerator": "gpu",
        "count": n}`. `dataset_after` and `algorithm_after` are versions that a write answered, which the job must know
        of. A `preemptible` job, as all are unless told otherwise, may have to end for a more urgent one, and goes on
        later from its checkpoints. `mounts` are external sources as they are: `{"source_id": id, "at": "lab"}`,
        with `path` from below the source's own place on. With `stream` it begins while the shards of a WebDataset set
        still arrive.
        """
        whole = formatted_set_id is not None or validation is not None
        body: dict[str, Any] = {"name": name, "description": description, "stream": stream or None, "start": start}
        body |= _program(algorithm_id, algorithm_after, parameters, environment)
        body |= _materials(dataset_id, dataset_after, formatted_set_id, validation, mounts)
        body |= {"split": _split(ratio, seed, whole)}
        body |= _scheduling(resources, time_limit_seconds, priority, priority_class, queue, preemptible)
        sent = {name: value for name, value in body.items() if value is not None or name == "split"}
        return cast(Job, self._http.create(self.collection, sent, key=key))

    def edit(self, id: str, **changes: Any) -> Job:
        """Change a draft wholly, any other job's name and description."""
        return self._edit(id, changes)

    def start(self, id: str) -> Job:
        """Queue a draft, or an ended job again as a new attempt."""
        return self._verb(id, "start", repeat=False)

    def stop(self, id: str) -> Job:
        """End it: devices are freed, what it wrote is kept."""
        return self._verb(id, "stop", leads_to=ENDED)

    def attempts(self, id: str) -> list[Attempt]:
        """Every try at it, oldest first."""
        return list(self._http.pages(self._at(id, "attempts")))

    def wait(self, id: str, *, progress: Callable[[Job], None] | None = None, timeout: float | None = None) -> Job:
        """Wait until it ended, however it ended; `timeout` in seconds. Raises YardError (`timeout`)."""
        return until(
            self._http.hour,
            lambda: self.show(id),
            lambda seen: seen["state"] in ENDED,
            progress=progress,
            timeout=timeout,
            what=f"job {id}",
        )

    def log(self, id: str, *, attempt: int | None = None, member: int | None = None, offset: int = 0) -> LogPart:
        """The log from `offset` (bytes) to where it is now; on several nodes, that of one member (from 0)."""
        query = {"attempt": attempt, "member": member, "offset": offset}
        answer = self._http.send("GET", self._at(id, "log"), params=query)
        after = answer.headers.get("x-next-offset")
        return {"text": answer.text, "next_offset": int(after) if after else offset + len(answer.content)}

    def follow_log(
        self, id: str, *, attempt: int | None = None, member: int | None = None, offset: int = 0
    ) -> Iterator[str]:
        """Pieces of the log as they are written, until the attempt ends."""
        query = {"attempt": attempt, "member": member, "offset": offset}
        for event in follow(self._http, self._at(id, "log", "stream"), query, cursor="offset"):
            if event.event == "log":
                yield str(json.loads(event.data)["text"])

    def metrics(
        self, id: str, *, attempt: int | None = None, name: str | None = None, points: int | None = None
    ) -> Metrics:
        """The curves of an attempt, thinned to at most `points` a curve."""
        query = {"attempt": attempt, "name": name, "points": points}
        return cast(Metrics, self._http.get(self._at(id, "metrics"), query))

    def follow_metrics(self, id: str, *, attempt: int | None = None) -> Iterator[dict[str, Any]]:
        """Points `{"step": …, name: value …}` as they are measured, until the attempt ends."""
        for event in follow(self._http, self._at(id, "metrics", "stream"), {"attempt": attempt}):
            if event.event == "metrics":
                yield cast("dict[str, Any]", json.loads(event.data))

    def results(self, id: str, *, attempt: int | None = None) -> list[File]:
        """The files that it made."""
        return list(self._http.pages(self._at(id, "results"), {"attempt": attempt}))

    def download(
        self,
        id: str,
        to: str | Path,
        *,
        path: str | None = None,
        attempt: int | None = None,
        progress: Got | None = None,
    ) -> Path:
        """Download one file of the results, or all of them as a zip, to the path `to`."""
        if path is None:
            return download(
                self._http, self._at(id, "results.zip"), Path(to), params={"attempt": attempt}, progress=progress
            )
        query = {"path": path, "attempt": attempt}
        known = facts_of(self.results(id, attempt=attempt), path)
        return download(self._http, self._at(id, "results", "file"), Path(to), params=query, progress=progress, **known)


def _program(
    algorithm_id: str,
    algorithm_after: int | None,
    parameters: Mapping[str, Any] | None,
    environment: Mapping[str, str] | None,
) -> dict[str, Any]:
    """What runs, as fields of a job's body."""
    return {
        "algorithm_id": algorithm_id,
        "algorithm_after": algorithm_after,
        "parameters": dict(parameters or {}),
        "environment": dict(environment) if environment else None,
    }


def _materials(
    dataset_id: str | None,
    dataset_after: int | None,
    formatted_set_id: str | None,
    validation: Mapping[str, Any] | None,
    mounts: Sequence[Mapping[str, Any]] | None,
) -> dict[str, Any]:
    """The data that it trains and validates on or sees as it is, as fields of a job's body."""
    return {
        "dataset_id": dataset_id,
        "dataset_after": dataset_after,
        "formatted_set_id": formatted_set_id,
        "validation": dict(validation) if validation else None,
        "mounts": [dict(mount) for mount in mounts] if mounts else None,
    }


def _split(ratio: float | Literal["usual"] | None, seed: int, whole: bool) -> dict[str, Any] | None:
    """How a dataset is split, None for not at all; `whole` says that the usual is not to split it."""
    usual = None if whole else USUAL_RATIO
    share = usual if ratio == "usual" else ratio
    return None if share is None else {"ratio": share, "seed": seed}


def _scheduling(
    resources: Mapping[str, Any] | None,
    time_limit_seconds: float | None,
    priority: int | None,
    priority_class: str | None,
    queue: str | None,
    preemptible: bool | None,
) -> dict[str, Any]:
    """What it gets, for how long and when, as fields of a job's body."""
    return {
        "resources": dict(resources or {"spec": "small"}),
        "time_limit_seconds": time_limit_seconds,
        "priority": priority,
        "priority_class": priority_class,
        "queue": queue,
        "preemptible": preemptible,
    }


def check_succeeded(job: Job) -> Job:
    """The job itself where it succeeded. Raises YardError (`job_failed`, `job_stopped`, `job_timed_out`)."""
    if job["state"] != "succeeded":
        why = job.get("detail") or job.get("reason") or "no reason told"
        raise YardError(f"job_{job['state']}", f"Job {job['name']!r} ended as {job['state']}: {why}")
    return job
