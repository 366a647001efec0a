"""The journey itself: each step is what a person would do with the client, in the order in which they would do it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from yard.client import Client
from yard.demo.digits import Digits, write_digits
from yard.demo.predictions import Prediction, predict, table
from yard.demo.stage import Stage, Step
from yard.demo.training import as_points, engine_of, preset, train
from yard.errors import YardError
from yard.evaluations import evaluation_text, headline
from yard.forms import duration, size
from yard.shapes import Dataset, Job, Model, Service

GOAL = 0.93
"""Accuracy on the held-out part below which the demo fails."""
BUILDING = "Build the engine (once a machine)"
_ROUTE_SECONDS = 10.0
_NAME = "Handwritten digits (UCI)"


@dataclass
class Journey:
    """What has come of it so far."""

    client: Client
    stage: Stage
    began: float = field(default_factory=time.monotonic)

    def digits(self, folder: Path) -> Digits:
        """Write the data as a person would bring it."""
        with self.stage.step("Write the images as PNG folders, and zip them") as step:
            digits = write_digits(folder)
            kept_out = len(digits.held_out)
            step.result = f"{digits.images} images, {len(digits.classes)} classes, {kept_out} more kept out"
        return digits

    def dataset(self, digits: Digits) -> Dataset:
        """Create, upload, import, put online."""
        datasets = self.client.datasets
        with self.stage.step("Create the dataset") as step:
            made = datasets.create(
                _NAME, purpose="image/classification", description="From scikit-learn's load_digits."
            )
            step.result = made["id"]
        with self.stage.step("Upload the zip in parts", bytes=True) as step:
            begun = datasets.upload(
                made["id"], digits.archive, progress=lambda done, all_: step.advance(done, all_, "")
            )
            step.result = f"{size(digits.archive.stat().st_size)} arrived"
        with self.stage.step("Import: check every file, keep a version") as step:
            datasets.wait_import(
                made["id"],
                begun["id"],
                progress=lambda seen: step.advance(seen.get("progress") or 0.0, 1.0, seen.get("phase") or ""),
            )
            version = datasets.show(made["id"]).get("current_version") or {}
            step.result = (
                f"version {version.get('number')} {version.get('digest', '')[:19]} {version.get('files')} files"
            )
        with self.stage.step("Put it online") as step:
            online = datasets.online(made["id"])
            step.result = "jobs may use it"
        return online

    def job(self, dataset: Dataset) -> Job:
        """Pick the preset, build its engine if need be, train."""
        with self.stage.step("Choose the preset image-classifier") as step:
            algorithm = preset(self.client, "image-classifier")
            step.result = algorithm["id"]
        with self.stage.step(BUILDING) as step:
            step.result = engine_of(self.client, algorithm, step.advance)
        job = train(self.client, self.stage, algorithm, dataset)
        curves = self.stage.curves(as_points(self.client.jobs.metrics(job["id"])["series"]))
        self.stage.block(f"{curves}\n\n{evaluation_text(job.get('evaluation') or {}, plain=self.stage.plain)}")
        return job

    def model(self, job: Job) -> Model:
        """What the job made, and where it comes from."""
        with self.stage.step("The model, with its lineage") as step:
            model = self.client.models.show(str(job["model_id"]))
            lineage = model.get("lineage") or {}
            step.result = f"{size(model.get('bytes', 0))}, from version {lineage.get('dataset_version')} of the dataset"
        return model

    def service(self, model: Model) -> Service:
        """Publish, start two replicas, test online."""
        services = self.client.services
        with self.stage.step("Publish it as a service") as step:
            told = self.client.models.publish(model["id"], "digits")
            service = services.wait_for(told["service_id"])
            step.result = str(service.get("address", ""))
        self.started(service, 2, "Start 2 replicas")
        with self.stage.step("Test it online with the interface's test value") as step:
            answer = services.test(service["id"])
            step.result = (
                f"status {answer['status']} after {answer.get('latency_ms', 0):.0f} ms: {said(answer['response'])}"
            )
        return services.show(service["id"])

    def started(self, service: Service, replicas: int, title: str) -> None:
        """Start that many replicas and wait until each is ready."""
        with self.stage.step(title) as step:
            self.client.services.start(service["id"], replicas)
            self._ready(service, replicas, step)

    def scaled(self, service: Service, replicas: int) -> None:
        """Change the number of replicas."""
        with self.stage.step(f"Scale to {replicas} replicas") as step:
            self.client.services.scale(service["id"], replicas)
            self._ready(service, replicas, step)

    def _ready(self, service: Service, replicas: int, step: Step) -> None:
        self.client.services.wait(
            service["id"],
            ready=replicas,
            progress=lambda seen: step.advance(seen.get("ready", 0), replicas, f"{seen.get('ready', 0)} ready"),
        )
        step.result = f"{replicas} of {replicas} ready"

    def predictions(self, service: Service, digits: Digits) -> Sequence[Prediction]:
        """Ask the service about images that were never in the dataset, with an API key as a program would."""
        with self.stage.step("Ten predictions of images kept out, by API key") as step:
            key = self.client.api_keys.create("demo")
            with self.client.acting(api_key=key["key"]) as program:
                made = [predict(program, service, image) for image in digits.held_out]
            self.client.api_keys.delete(key["id"])
            replicas = {one.replica for one in made if one.replica}
            balanced = f", answered by {len(replicas)} replicas" if replicas else ""
            right = sum(one.right for one in made)
            step.result = f"{right} of {len(made)} right{balanced}"
        self.stage.block(table(made, plain=self.stage.plain))
        return made

    def stopped(self, service: Service, digits: Digits) -> None:
        """Stop it: the address stays, and says so."""
        with self.stage.step("Stop it; the address says so") as step:
            self.client.services.stop(service["id"])
            self.client.services.wait(service["id"], state="stopped", ready=0)
            problem = self._refused(service, digits)
            step.result = f"{problem.status} {problem.code}"

    def _refused(self, service: Service, digits: Digits) -> YardError:
        """What the address of a stopped service answers; the news of the stop may take a moment to reach it."""
        until = time.monotonic() + _ROUTE_SECONDS
        while time.monotonic() < until:
            try:
                predict(self.client, service, digits.held_out[0])
            except YardError as problem:
                if problem.status == 503:
                    return problem
                raise
            time.sleep(0.05)
        raise YardError("still_answers", "The service still answers although it is stopped.")

    def again(self, service: Service, digits: Digits) -> None:
        """Start it again: the same address answers."""
        self.started(service, 2, "Start it again")
        with self.stage.step("The same address answers again") as step:
            one = predict(self.client, service, digits.held_out[0])
            step.result = f"said {one.said}, true {one.true}"


def said(response: object) -> str:
    """The label in a service's answer, or the answer itself, shortened."""
    if isinstance(response, dict) and "label" in response:
        return f"label {response['label']}"
    return str(response)[:40]


def travel(journey: Journey, folder: Path) -> int:
    """Every step; 0 if the model is good enough. Raises YardError."""
    digits = journey.digits(folder)
    dataset = journey.dataset(digits)
    job = journey.job(dataset)
    model = journey.model(job)
    service = journey.service(model)
    made = journey.predictions(service, digits)
    journey.scaled(service, 3)
    journey.stopped(service, digits)
    journey.again(service, digits)
    return summary(journey, job, service, made)


def summary(journey: Journey, job: Job, service: Service, made: Sequence[Prediction]) -> int:
    """The end: what was reached, in which time, and whether that is enough."""
    stage, evaluation = journey.stage, job.get("evaluation") or {}
    total = time.monotonic() - journey.began
    building = stage.spent.get(BUILDING, 0.0)
    stage.say()
    stage.title(
        f"Done in {duration(total)} (building the engine {duration(building)}, all else {duration(total - building)})."
    )
    stage.say(f"  evaluation   {headline(evaluation)}")
    stage.say(f"  predictions  {sum(one.right for one in made)} of {len(made)} right on images never seen")
    stage.say(f"  service      {journey.client.address}{service.get('address', '')}")
    accuracy = evaluation.get("accuracy", 0.0)
    if accuracy >= GOAL:
        return 0
    stage.say(f"Failed: accuracy {accuracy:.4f} on the held-out part is below {GOAL}.")
    return 1


def run(client: Client, *, out: TextIO | None = None) -> int:
    """The whole journey on the platform that `client` is logged in to; 0 only if it went well and accuracy on the
    held-out part is at least 0.93, otherwise 1 with the reason said."""
    stage = Stage(out) if out is not None else Stage()
    stage.title(f"The main job, end to end, on {client.address}")
    try:
        with tempfile.TemporaryDirectory(prefix="yard-demo-") as folder:
            return travel(Journey(client, stage), Path(folder))
    except YardError as error:
        stage.say(f"Failed: {error}")
        return 1
