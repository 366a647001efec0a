"""The six services as processes of their own, on a real broker, database server and S3 server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import Rclone
from tests.support.cluster import SERVICES, Cluster, cluster


@pytest.fixture(scope="module")
def whole(rabbitmq: RabbitMQ, postgres: Postgres, rclone: Rclone) -> Iterator[Cluster]:
    with cluster(rabbitmq, postgres, rclone) as running:
        yield running


@pytest.mark.row("P5", "P6")
@pytest.mark.parametrize("service", SERVICES)
def test_each_tells_how_it_is(whole: Cluster, service: str):
    member = whole.member(service)
    assert member.ask("/healthz") == (200, '{"status":"ok"}')
    status, told = member.ask("/readyz")
    assert status == 200
    assert '"database":"ok"' in told
    assert '"bus":"ok"' in told
    assert member.ask("/metrics")[0] == 404
    status, figures = member.ask("/metrics", operator=True)
    assert status == 200
    assert f'modelyard_outbox_rows{{service="{service}"}} 0.0' in figures
