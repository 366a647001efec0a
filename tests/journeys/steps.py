"""What several journeys do on their way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.data import images_zip
from yard import Client, YardError

EMBEDDED, PROCESSES, DOCKER, COMPOSE = "embedded", "processes", "docker", "compose"
"""What a journey is run on: services in one process, in one each, in one whose workloads are containers, or all in
containers as docker-compose.yml says (only where `-m compose` asks for it)."""

PATIENCE = 180.0
"""Seconds after which a step that should take one or two is taken for stuck, on a machine that is busy."""


def online_images(client: Client, folder: Path, name: str = "pictures", each: int = 10, **more: Any) -> Any:
    """An online dataset of pictures."""
    made = client.datasets.create(name, purpose="image/classification", **more)
    client.datasets.import_(made["id"], images_zip(folder / f"{made['id']}.zip", each), timeout=PATIENCE)
    return client.datasets.online(made["id"])


def preset(client: Client, name: str) -> Any:
    """The preset of that name."""
    [found] = [one for one in client.algorithms.each(q=name, visibility="preset") if one["name"] == name]
    return found


def succeeded(client: Client, job: Any) -> Any:
    """The job once it has ended well."""
    ended = client.jobs.wait(job["id"], timeout=PATIENCE)
    assert ended["state"] == "succeeded", (ended["reason"], ended["detail"], client.jobs.log(job["id"])["text"])
    return ended


def published(client: Client, job: Any, name: str = "service") -> Any:
    """The service that the job's model became."""
    promised = client.models.publish(job["model_id"], name)
    return client.services.wait_for(promised["service_id"], timeout=PATIENCE)


def started(client: Client, service: Any, replicas: int) -> Any:
    """The service with that many replicas ready."""
    client.services.start(service["id"], replicas)
    return client.services.wait(service["id"], ready=replicas, timeout=PATIENCE)


def stopped(client: Client, service: Any) -> Any:
    """The service with no replica left."""
    client.services.stop(service["id"])
    return client.services.wait(service["id"], state="stopped", ready=0, timeout=PATIENCE)


def refused(do: Callable[[], Any], status: int, code: str) -> YardError:
    """The problem with which it is refused."""
    with pytest.raises(YardError) as told:
        do()
    assert (told.value.status, told.value.code) == (status, code), told.value
    return told.value


def where(problem: YardError) -> set[str]:
    """Which fields are at fault."""
    return {fault.where for fault in problem.faults}
