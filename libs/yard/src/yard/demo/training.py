"""The demo's training: the preset, its engine, the job with its learning curve."""

from __future__ import annotations

from typing import Any

from yard.api.jobs import check_succeeded
from yard.charts import Points
from yard.client import Client
from yard.demo.stage import Stage
from yard.errors import YardError
from yard.progress import Advance
from yard.shapes import Algorithm, Dataset, Job
from yard.waiting import until

CURVES = ("accuracy", "loss")
PARAMETERS: dict[str, Any] = {"epochs": 20, "img_size": 8}
"""The images have 8 × 8 pixels; a larger size would add nothing."""
_LOG_LINES = 15
_EVERY = 5
"""Where nobody looks, every so many points are told as a line."""


def preset(client: Client, name: str) -> Algorithm:
    """The preset algorithm of that name. Raises YardError (`no_preset`)."""
    for algorithm in client.algorithms.each(q=name, visibility="preset"):
        if algorithm["name"] == name:
            return algorithm
    raise YardError("no_preset", f"This platform has no preset algorithm {name!r}.")


def engine_of(client: Client, algorithm: Algorithm, advance: Advance) -> str:
    """Build the engine that the algorithm trains with unless it is ready; gives a sentence about it."""
    told = (algorithm.get("training") or {}).get("engine")
    name = str(told.get("name")) if isinstance(told, dict) else str(told)
    if client.engines.show(name)["state"] == "ready":
        return f"{name} is ready"
    built = client.engines.build(
        name, progress=lambda seen: advance(seen.get("progress") or 0.0, 1.0, seen.get("detail") or "")
    )
    return f"{name} is {built['state']}"


def train(client: Client, stage: Stage, algorithm: Algorithm, dataset: Dataset) -> Job:
    """Run the job and show its curve while it learns. Raises YardError with the end of the log where it fails."""
    with stage.step("Train on 80 %, evaluate on the 20 % held out", bar=False) as step:
        job = client.jobs.create(
            "digits with image-classifier",
            algorithm_id=algorithm["id"],
            dataset_id=dataset["id"],
            ratio=0.8,
            parameters=PARAMETERS,
            dataset_after=dataset.get("version"),
            algorithm_after=algorithm.get("version"),
        )
        _watch(client, stage, job)
        ended = _kept(client, client.jobs.wait(job["id"]))
        if ended["state"] != "succeeded":
            stage.block(_end_of_log(client, job))
        check_succeeded(ended)
        step.result = f"succeeded, accuracy {(ended.get('evaluation') or {}).get('accuracy', 0.0):.4f}"
    return ended


def _watch(client: Client, stage: Stage, job: Job) -> None:
    """Follow the metrics to the end of the attempt."""
    curves: dict[str, list[tuple[float, float]]] = {name: [] for name in CURVES}
    with stage.live() as show:
        show(f"{job['state']} …")
        for point in client.jobs.follow_metrics(job["id"]):
            for name in CURVES:
                if name in point:
                    curves[name].append((point["step"], point[name]))
            show(stage.curves({name: curve for name, curve in curves.items() if curve}))
            if not stage.watched and (point["step"] == 1 or point["step"] % _EVERY == 0):
                stage.say(_point_line(point))


def _point_line(point: dict[str, Any]) -> str:
    told = "  ".join(f"{name} {point[name]:.4f}" for name in CURVES if name in point)
    return f"    epoch {point['step']:>3}  {told}"


def _kept(client: Client, ended: Job) -> Job:
    """The job once its model and evaluation are kept, which may be a moment after its end."""
    if ended["state"] != "succeeded":
        return ended
    return until(
        client.http.hour,
        lambda: client.jobs.show(ended["id"]),
        lambda seen: bool(seen.get("model_id") and seen.get("evaluation")),
        timeout=30.0,
        what="the job's model",
    )


def _end_of_log(client: Client, job: Job) -> str:
    return "\n".join(client.jobs.log(job["id"])["text"].splitlines()[-_LOG_LINES:]) or "(the log is empty)"


def as_points(series: dict[str, list[list[float]]]) -> dict[str, Points]:
    """The platform's curves, those that are shown."""
    return {name: [(step, value) for step, value in series[name]] for name in CURVES if series.get(name)}
