"""Seen of the running composition: who reaches what, everybody's figures, more instances, and a server's whole life."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compose.context import SERVICES
from tests.compose.running import SERVICE, Composed
from tests.journeys.steps import online_images, preset, published, started, stopped, succeeded
from tests.support.data import CLASSES, picture
from tests.support.process import REPOSITORY
from yard import Client

pytestmark = [pytest.mark.compose]

OWNER = "modelyard.owner"
ANSWERS = """
import json, socket, sys
found = []
for host, port in json.loads(sys.argv[1]):
    try:
        socket.create_connection((host, port), 1).close()
        found.append([host, port])
    except OSError:
        pass
print(json.dumps(found))
"""
FIGURES = """
import json, socket, sys, urllib.request
for name in json.loads(sys.argv[1]):
    for host in sorted({one[4][0] for one in socket.getaddrinfo(name, 9000)}):
        with urllib.request.urlopen(f"http://{host}:9000/metrics") as answer:
            print(name, "modelyard_dependency_up" in answer.read().decode())
"""


@pytest.fixture
def alice(composition: Composed) -> Any:
    with composition.user("alice") as client:
        yield client


def inside(composition: Composed, service: str, program: str, argument: object) -> str:
    """What a program says that is run in a service's container."""
    words = ("exec", "-T", service, "python", "-c", program, json.dumps(argument))
    return composition.compose(*words)


def service_of(one: dict[str, Any]) -> str:
    return str(one["Config"]["Labels"][SERVICE])


def address_in(one: dict[str, Any], network: str) -> str:
    return str(one["NetworkSettings"]["Networks"][network]["IPAddress"])


def test_nobody_is_root_and_only_the_gateway_is_published(composition: Composed) -> None:
    for one in composition.containers():
        if service_of(one) in SERVICES:
            assert one["Config"]["User"] == "10001:10001"
            assert one["HostConfig"]["ReadonlyRootfs"] is True
            assert one["HostConfig"]["CapDrop"] == ["ALL"]
        bound = {place["HostIp"] for places in one["NetworkSettings"]["Ports"].values() for place in places or ()}
        assert bound == ({"127.0.0.1"} if service_of(one) == "gateway" else set())
        history = composition.docker.run_client("history", "--no-trunc", one["Image"])
        assert "PIP_" not in history
    composition.compose("exec", "-T", "dataset-svc", "python", "-c", "import libarchive")  # or 7z and rar are refused


def test_figures_of_every_instance_are_found(composition: Composed) -> None:
    [ours, _] = yaml.safe_load((REPOSITORY / "docker" / "prometheus.yml").read_text())["scrape_configs"]
    composition.up("--no-recreate", "--scale", "dataset-svc=2", "--scale", "train-svc=2")
    said = inside(composition, "notebook-svc", FIGURES, ours["dns_sd_configs"][0]["names"]).splitlines()
    assert sorted(said) == sorted(f"{name} True" for name in (*SERVICES, "dataset-svc", "train-svc"))


def test_a_servers_life(composition: Composed, alice: Client, tmp_path: Path) -> None:
    """Train, serve, keep the owner away from the platform, go down and come back with everything as it was."""
    dataset = online_images(alice, tmp_path)
    algorithm = preset(alice, "image-classifier")
    job = alice.jobs.create("j", algorithm_id=algorithm["id"], dataset_id=dataset["id"], parameters={"epochs": 1})
    service = started(alice, published(alice, succeeded(alice, job), "stays"), 1)
    assert alice.services.call(service, {"image": picture(CLASSES[0], 1)}).text
    [replica] = replicas(composition)
    keeps_away(composition, replica)
    composition.compose("stop")
    assert {service_of(one): one["State"]["ExitCode"] for one in composition.containers() if one["Config"]["User"]} == (
        dict.fromkeys(SERVICES, 0) | {"home": 0}
    )
    composition.compose("down")
    assert composition.containers() == []
    assert [one["Id"] for one in replicas(composition)] == [replica["Id"]]
    composition.up()
    with composition.user("alice") as again:
        assert again.datasets.show(dataset["id"])["online"] is True
        assert again.services.wait(service["id"], ready=1, timeout=60)["state"] == "running"
        assert again.services.call(service, {"image": picture(CLASSES[0], 1)}).text
        assert [one["Id"] for one in replicas(composition)] == [replica["Id"]]
        stopped(again, service)


def replicas(composition: Composed) -> list[dict[str, Any]]:
    """The running containers of owners."""
    docker = composition.docker
    found = docker.run_client("ps", "--quiet", "--no-trunc", "--filter", f"label={OWNER}").split()
    return [json.loads(docker.ask("GET", f"/containers/{one}/json")[1]) for one in found]


def keeps_away(composition: Composed, replica: dict[str, Any]) -> None:
    """In an owner's network there are the owner's workloads, and nobody of the platform answers."""
    [network] = replica["NetworkSettings"]["Networks"]
    platform = f"{composition.environment['COMPOSE_PROJECT_NAME']}_platform"
    everybody = [one for one in composition.containers() if one["State"]["Running"]]
    ports = (8000, 9000, 5432, 5672, 3900, 15692)
    places = [(address_in(one, platform), port) for one in everybody for port in ports]
    joined = [one for one in everybody if network in one["NetworkSettings"]["Networks"]]
    assert {service_of(one) for one in joined} == {"gateway", "serving-svc"}
    places += [(address_in(one, network), port) for one in joined for port in ports]
    own = [address_in(replica, network), 8080]
    base = composition.docker.base()
    words = ("run", "--rm", "--network", network, base, "python3", "-c", ANSWERS, json.dumps([*places, own]))
    assert json.loads(composition.docker.run_client(*words)) == [own]
