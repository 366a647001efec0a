"""A service that starts before anything it needs waits, says what for, and begins when it comes."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from tests.servers.ports import quiet_port
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import PASSWORD, USER, RabbitMQ
from tests.servers.s3 import Rclone
from tests.support.cluster import Ports, cluster
from tests.support.passage import passage
from tests.support.process import until


@pytest.mark.row("P6")
def test_it_waits_for_whatever_is_not_there_yet(rabbitmq: RabbitMQ, postgres: Postgres, rclone: Rclone):
    ports = Ports(quiet_port(), quiet_port(), quiet_port())
    assert ports.database
    assert ports.bus
    assert ports.files
    with cluster(rabbitmq, postgres, rclone, "algo-svc", through=ports, start=False) as alone:
        member = alone.member("algo-svc")
        member.launch()
        until(lambda: member.ask("/healthz")[0] == 200, 120, member.log_end)
        told = until(lambda: _missing(member.ask("/readyz")), 120, member.log_end)
        assert {"database", "bus", "files", "start"} <= told.keys()
        assert "database" in told["start"]
        status, body = member.ask("/api/v1/algorithms")
        assert (status, json.loads(body)["code"]) == (503, "starting")
        assert member.stop() == 0
        member.launch()
        with ExitStack() as stack:
            stack.enter_context(passage(rabbitmq.port, ports.bus))
            stack.enter_context(passage(rclone.port, ports.files))
            left = {"database", "bus", "start"}  # it listens to the bus once it can keep what it hears
            until(lambda: _missing(member.ask("/readyz")).keys() == left, 120, member.log_end)
            stack.enter_context(passage(postgres.port, ports.database))
            member.wait_until_ready()
            with alone.client_of(member) as client:
                assert client.get("algorithms").json()["items"]
            assert member.stop() == 0
        printed = member.log.read_text() + told["database"] + told["bus"] + told["files"]
        assert not [secret for secret in (rclone.secret, f"{USER}:{PASSWORD}@") if secret in printed]


def _missing(answer: tuple[int, str]) -> dict[str, str]:
    status, body = answer
    missing: dict[str, str] = json.loads(body)["missing"] if status == 503 else {}
    return missing if "not looked at" not in body else {}
