"""The servers keep what they were told when they are killed, and go with the run that started them."""

import asyncio
import subprocess
import sys
import textwrap

import aio_pika
import asyncpg
import psutil
import pytest

from tests.servers.docker import Docker
from tests.servers.packages import ensure
from tests.servers.postgres import Postgres
from tests.servers.proxy import Proxy
from tests.servers.rabbitmq import RabbitMQ
from tests.support.process import until


async def test_postgres_keeps_what_was_committed(postgres: Postgres):
    url = await postgres.create()
    name = url.rpartition("/")[2]
    await postgres.execute("CREATE TABLE kept (n INTEGER)", "INSERT INTO kept VALUES (1)", database=name)
    postgres.restart()
    await postgres.execute("SELECT 1 / count(*) FROM kept", database=name)
    await postgres.drop(url)


async def test_rabbitmq_keeps_what_was_confirmed(rabbitmq: RabbitMQ, vhost: str):
    async def get() -> bytes:
        async with await aio_pika.connect(rabbitmq.url(vhost)) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
            message = await queue.get(timeout=5, fail=False)
            if message is None:
                kept = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                await channel.default_exchange.publish(kept, "kept", timeout=5)
                return b""
            await message.ack()
            return message.body

    assert await get() == b""
    rabbitmq.restart()
    assert await get() == b"kept"


def test_docker_keeps_what_runs(docker: Docker):
    program = "import itertools, time\nfor n in itertools.count(): print(n, flush=True); time.sleep(0.01)"
    one = docker.run_client("run", "--detach", docker.base(), "python3", "-c", program).strip()
    try:
        before = docker.run_client("inspect", "--format", "{{.State.Pid}}", one)
        docker.restart()
        assert docker.run_client("inspect", "--format", "{{.State.Running}} {{.State.Pid}}", one) == f"true {before}"
    finally:
        docker.run_client("rm", "--force", one)


def test_what_docker_builds_finds_packages(docker: Docker):
    docker.run_client(
        "run", "--rm", docker.base(), "pip", "download", "--quiet", "--no-deps", "-d", "/tmp", "python-ulid"
    )


async def test_the_proxy_swallows_and_heals(postgres: Postgres):
    async with Proxy(postgres.port) as proxy:
        connection = await asyncpg.connect(postgres.url("postgres", proxy.port).replace("+asyncpg", ""))
        assert await connection.fetchval("SELECT 1") == 1
        proxy.black_hole()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.fetchval("SELECT 2"), 0.2)
        connection.terminate()
        proxy.heal()
        again = await asyncpg.connect(postgres.url("postgres", proxy.port).replace("+asyncpg", ""))
        assert await again.fetchval("SELECT 3") == 3
        proxy.cut()
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await again.fetchval("SELECT 4")


def test_a_run_that_is_killed_leaves_no_server():
    code = """
        import os
        from tests.servers.process import Server

        class Sleeper(Server):
            user = "nobody"
            def start(self): self.spawn(["sleep", "600"])
            def answers(self): return True
        sleeper = Sleeper()
        sleeper.start()
        print(sleeper.folder, sleeper._children[0].pid, flush=True)
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    folder, _, pid = done.stdout.strip().partition(" ")
    assert folder.startswith("/")
    until(lambda: not psutil.pid_exists(int(pid)), 60)


def test_who_may_install_nothing_is_told_what_is_missing(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(pytest.fail.Exception, match="As root: apt-get install rabbitmq-server"):
        ensure("rabbitmq-server", lambda: None)
