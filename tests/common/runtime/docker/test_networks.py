"""A network is made also where another engine of this machine changes the packet filter at that moment."""

from __future__ import annotations

from typing import Any

import pytest

from common.docker import Refused
from common.kernel.errors import Unavailable
from common.runtime.docker import DockerSettings, networks
from common.runtime.docker.networks import Networks

STUMBLES = Refused(500, "unable to remove jump to DOCKER-ISOLATION-STAGE-1 rule in FORWARD chain: iptables failed")


class Daemon:
    """An engine that refuses so and so, and then makes the network."""

    url = "tcp://elsewhere:2376"

    def __init__(self, *refusals: Refused) -> None:
        self.refusals = list(refusals)
        self.made: list[str] = []

    async def network(self, name: str) -> bool:
        return name in self.made

    async def networks(self, *_: str) -> list[dict[str, Any]]:
        return []

    async def create_network(self, config: dict[str, Any]) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.made.append(config["Name"])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "PAUSES", (0.0, 0.0))


def networks_of(daemon: Any) -> Networks:
    return Networks(daemon, "0123456789ab", DockerSettings(reached_by="gateway", gateway_label=""))


@pytest.mark.parametrize("times", [1, 2])
async def test_docker_that_stumbles_is_asked_again(times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(*[STUMBLES] * times)
    monkeypatch.setattr(Networks, "_attach", _nobody)
    name = await networks_of(daemon).ensure("alice")
    assert daemon.made == [name]


@pytest.mark.parametrize("refusals", [[STUMBLES] * 3, [Refused(500, "no space left on device")]])
async def test_what_does_not_pass_is_told(refusals: list[Refused], monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(*refusals)
    monkeypatch.setattr(Networks, "_attach", _nobody)
    with pytest.raises(Unavailable) as told:
        await networks_of(daemon).ensure("alice")
    assert told.value.code == "no_network"
    assert refusals[-1].message in told.value.detail
    assert daemon.made == []


async def _nobody(*_: object) -> None:
    """There is no gateway to be let in."""
