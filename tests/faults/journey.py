"""The journey that is hit: it goes on over restarts as a careful program would, and proves what it came to."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.harness import Chaos, Stage, no_holds
from tests.support.algorithms import slow_algorithm
from tests.support.data import CLASSES, images_zip
from tests.support.process import PlatformProcess, left_over, until
from yard import Client

STAGES = {
    "upload": Stage(0.1),
    "import": Stage(0.35),
    "training": Stage(2.0, blows=(1, 2)),
    "publishing": Stage(0.05),
    "scaling": Stage(0.9),
}
"""The stages with how long they take at least on a fast machine."""

PART_BYTES = 4096
EACH, LINES, SECONDS = 67, 30, 4.0
PATIENCE = 90.0


@dataclass
class Journey:
    """One journey of one seed. `client` bears lost connections for as long as the platform may need to come back."""

    client: Client
    platform: PlatformProcess
    chaos: Chaos
    folder: Path
    processes: dict[str, set[tuple[int, str]]] = field(default_factory=dict)
    """Workload → the (pid, start) under which it was seen running."""

    def run(self) -> None:
        """From the archive to a service that was scaled, stopped and deleted."""
        dataset = self.dataset()
        algorithm = slow_algorithm(self.client, self.folder, key="the algorithm")
        job = self.training(dataset, algorithm)
        service = self.publishing(job)
        self.scaling(service)
        self.check_counts(job, service)

    def dataset(self) -> Any:
        """An online dataset, uploaded in many parts."""
        datasets = self.client.datasets
        archive = images_zip(self.folder / "pictures.zip", EACH)
        with self.chaos.stage("upload"):
            made = datasets.create("pictures", purpose="image/classification", key="the dataset")
            begun = datasets.upload(made["id"], archive)
        with self.chaos.stage("import"):
            ended = datasets.wait_import(made["id"], begun["id"], timeout=PATIENCE)
            online = datasets.online(made["id"])
        assert (ended["state"], ended["version_number"]) == ("succeeded", 1)
        [version] = datasets.versions(made["id"])
        assert version["classes"] == dict.fromkeys(CLASSES, EACH)
        assert len(datasets.imports(made["id"])) == 1
        return online

    def training(self, dataset: Any, algorithm: Any) -> Any:
        """A job whose log and metrics are followed live all the time."""
        jobs = self.client.jobs
        with self.looking(), self.chaos.stage("training"), ThreadPoolExecutor(2) as pool:
            made = jobs.create(
                "lines",
                algorithm_id=algorithm["id"],
                dataset_id=dataset["id"],
                parameters={"lines": LINES, "seconds": SECONDS},
                key="the job",
            )
            log = pool.submit(lambda: "".join(jobs.follow_log(made["id"])))
            points = pool.submit(lambda: list(jobs.follow_metrics(made["id"])))
            ended = jobs.wait(made["id"], timeout=PATIENCE)
        assert ended["state"] == "succeeded", (ended["reason"], ended["detail"])
        self.check_training(ended, log.result(), points.result())
        return ended

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Note all the time which processes run, also while the platform does not."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                self.look()

        watcher = threading.Thread(target=watch, name="watching processes")
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def look(self) -> None:
        """Note which processes run now."""
        for record in (self.platform.home / "run" / "workloads").glob("[!.]*/running"):
            try:
                seen = json.loads(record.read_bytes())
            except (FileNotFoundError, NotADirectoryError):
                continue
            self.processes.setdefault(record.parent.name, set()).add((seen["pid"], str(seen["start"])))

    def check_training(self, job: Any, followed: str, points: list[dict[str, Any]]) -> None:
        """It was started once, never disturbed, and every line and point of it is there once."""
        log = self.client.jobs.log(job["id"])["text"]
        first, *lines, last = log.splitlines()
        assert re.fullmatch(rf"process \d+ trains on {EACH * len(CLASSES)} files", first), log
        assert lines == [f"line {number} of {LINES}" for number in range(1, LINES + 1)], log
        assert last == "done"
        assert followed == log, "what came live is what was written"
        steps = list(range(1, LINES + 1))
        for curve in self.client.jobs.metrics(job["id"])["series"].values():
            assert [step for step, _ in curve] == steps
        assert sorted(point["step"] for point in points if "loss" in point) == steps
        [attempt] = self.client.jobs.attempts(job["id"])
        assert (job["attempt"], attempt["reason"]) == (1, "completed")
        assert [len(seen) for seen in self.processes.values()] == [1], self.processes

    def publishing(self, job: Any) -> Any:
        """The service that the model becomes."""
        with self.chaos.stage("publishing"):
            promised = self.client.models.publish(job["model_id"], "lines", key="the service")
            service = self.client.services.wait_for(promised["service_id"], timeout=PATIENCE)
        assert self.client.models.show(job["model_id"])["services"] == [service["id"]]
        return service

    def scaling(self, service: Any) -> None:
        """Two replicas, three, a prediction, and none."""
        services = self.client.services
        with self.chaos.stage("scaling"):
            services.start(service["id"], 2)
            services.wait(service["id"], ready=2, timeout=PATIENCE)
            services.scale(service["id"], 3)
            services.wait(service["id"], ready=3, timeout=PATIENCE)
        services.wait(service["id"], ready=3, timeout=PATIENCE)
        until(lambda: self.replicas() == 3, PATIENCE, lambda: f"replicas: {left_over(self.platform.home)}")
        answer = services.call(service, {"text": "hello"}).json()
        assert answer["model"]["lines"] == LINES
        services.stop(service["id"])
        services.wait(service["id"], state="stopped", ready=0, timeout=PATIENCE)

    def replicas(self) -> int:
        """How many replicas really run."""
        return len([one for one in left_over(self.platform.home) if "serve.py" in one and "supervisor" not in one])

    def check_counts(self, job: Any, service: Any) -> None:
        """Exactly one of everything, everything given back."""
        client, rows = self.client, self.platform.rows
        assert [one["id"] for one in client.jobs.each()] == [job["id"]]
        assert [one["id"] for one in client.models.each()] == [job["model_id"]]
        assert [one["id"] for one in client.services.each()] == [service["id"]]
        assert [rows("train-svc", f"SELECT count(*) FROM {table}") for table in ("jobs", "models")] == [[(1,)], [(1,)]]
        assert rows("serving-svc", "SELECT count(*) FROM services") == [(1,)]
        client.services.delete(service["id"])
        until(lambda: not client.allocations.list(state="granted"), PATIENCE)
        [node] = client.nodes.list()
        assert node["cpu_free"] == node["cpu"]
        until(lambda: not no_holds(self.platform), PATIENCE, lambda: f"held for ever: {no_holds(self.platform)}")
        until(lambda: self.only_platform(), PATIENCE, lambda: f"left over: {left_over(self.platform.home)}")

    def only_platform(self) -> bool:
        """Whether nothing but the platform itself runs."""
        return all(one.startswith(f"{self.platform.pid}:") for one in left_over(self.platform.home))
