"""Docker: a daemon of our own with its data, its bridge and its addresses, and a base image without any registry."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil
import pytest

from tests.servers.debian import base_tar
from tests.servers.packages import ensure
from tests.servers.process import Server

BASE = "modelyard-test/base:1"
"""An image with Debian's Python, pip and venv, and this machine's trust: what `python:3.11-slim` is elsewhere."""

POLICY = Path(tempfile.gettempdir()) / "modelyard-docker-forward"
"""What this machine did with packets to be forwarded before the first of our engines ran; a lock, too."""

# As the other servers' undertaker; what runs in containers is not below dockerd, and has mounts and a bridge.
UNDERTAKER = """
while read -r line; do groups=$line; done
for group in $groups; do kill -9 "-$group"; done
for process in /proc/[0-9]*; do
  case $( (tr '\\0' ' ' < $process/cmdline) 2>/dev/null) in
    *containerd-shim*" $0/"*) kill -9 $(cat $process/task/*/children) ${process#/proc/};;
  esac
done
test -z "$groups" || sleep 0.5
others=
for process in /proc/[0-9]*; do
  case $( (tr '\\0' ' ' < $process/cmdline) 2>/dev/null) in *dockerd" --data-root "*/modelyard-docker-*) others=1;; esac
done
test "$others" || ! test -s POLICY || { iptables -P FORWARD $(cat POLICY); : > POLICY; }
for mount in $(awk -v below="$0/" 'index($2, below) == 1 {print $2}' /proc/mounts); do
  umount -l $mount 2>/dev/null
done
for bridge in $(ls /sys/class/net); do
  test "$(cat /sys/class/net/$bridge/ifalias 2>/dev/null)" = "$0" || continue
  ip link delete $bridge
  find /sys/fs/cgroup -depth -type d -path "*/$bridge*" -exec rmdir {} +
  for table in filter nat; do
    iptables -t $table -S | grep -w $bridge | sed s/^-A/-D/ | while read -r rule; do iptables -t $table $rule; done
  done
done
rm -rf "$0"
""".replace("POLICY", str(POLICY))


def _find(*names: str) -> Path | None:
    found = [shutil.which(name, path=f"/usr/sbin:/usr/bin:{os.environ['PATH']}") for name in names]
    return Path(found[0] or "") if all(found) else None


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over the daemon's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Docker(Server):
    """One dockerd with `live-restore`: containers go on when it is killed, as on a well kept server."""

    name = "docker"
    user = "root"
    undertaker = UNDERTAKER

    def __init__(self) -> None:
        if os.geteuid() != 0:
            pytest.fail("Docker's tests start a dockerd of their own, which only root can do.", pytrace=False)
        self._dockerd = ensure("docker.io", lambda: _find("dockerd", "containerd", "docker-init"))
        ensure("iptables", lambda: _find("iptables"))
        ensure("iproute2", lambda: _find("ip"))
        super().__init__()
        self.socket = self.folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        self.mark = f"my{secrets.token_hex(4)}"
        self.subnet = self._bridge()
        self.pool = f"{self.subnet}.128.0/18"
        """Addresses for the networks of a platform: several engines run on this machine at once."""

    def _bridge(self) -> str:
        """A bridge of our own: `docker0` may be somebody else's. Its alias says to whom it belongs; its network."""
        _said("ip", "link", "add", "name", self.mark, "type", "bridge")
        _said("ip", "link", "set", self.mark, "alias", str(self.folder), "up")
        while True:
            subnet = _free_subnet()
            _said("ip", "address", "add", f"{subnet}.255.1/24", "dev", self.mark)
            if _said("ip", "route").count(f"{subnet}.255.0/24") == 1:
                return subnet
            _said("ip", "address", "flush", "dev", self.mark)  # somebody took the same at the same moment

    def start(self) -> None:
        """Start it and return when it answers."""
        # of a killed containerd nobody may have taken leave yet, and dockerd would wait for it to answer
        (self.folder / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)
        place: list[str | Path] = [
            "--data-root",
            self.folder / "data",
            "--exec-root",
            self.folder / "exec",
            "--host",
            self.url,
        ]
        mine: list[str | Path] = ["--pidfile", self.folder / "pid", "--config-file", self.write("daemon.json", "{}")]
        net = ["--bridge", self.mark, "--default-address-pool", f"base={self.subnet}.0.0/17,size=26"]
        with _alone() as policy:
            if not policy.read():
                policy.write(_said("iptables", "-w", "-S", "FORWARD").splitlines()[0].split()[-1])
            # engines share their chains, and one that starts empties those of the others: what keeps their networks
            # apart then is that nothing is forwarded which no rule allows
            _said("iptables", "-w", "-P", "FORWARD", "DROP")
            command = [self._dockerd, *place, *mine, *net, "--live-restore", "--cgroup-parent", f"/{self.mark}"]
            for again in (True, True, False):
                self.spawn(command)
                try:
                    self.wait_until_it_answers()
                    break
                except AssertionError:  # another engine made a network at that moment, with the same chains
                    if not again or "iptables" not in self.log_end():
                        raise
                    self.kill()

    def answers(self) -> bool:
        """Whether it answers a ping."""
        try:
            return self.ask("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str) -> tuple[int, bytes]:
        """Ask its API: status and answer. Raises OSError where it doesn't answer."""
        connection = _UnixConnection(self.socket)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def run_client(self, *arguments: str | Path, check: bool = True) -> str:
        """Run Debian's `docker` with these arguments; what it printed. Fails where it fails, with what it said."""
        done = subprocess.run(
            ["/usr/bin/docker", *arguments],
            env={**os.environ, "DOCKER_HOST": self.url},
            capture_output=True,
            text=True,
        )
        assert not check or done.returncode == 0, f"docker {arguments[0]}: {done.stdout}{done.stderr}"
        return done.stdout

    def base(self) -> str:
        """The name of the base image, imported by the first who asks."""
        if self.ask("GET", f"/images/{BASE}/json")[0] != 200:
            trust = [part for name, value in trusted().items() for part in ("--change", f"ENV {name}={value}")]
            self.run_client("import", *trust, base_tar(), BASE)
        return BASE

    def containers(self) -> list[str]:
        """The ids of all its containers."""
        return [one["Id"] for one in json.loads(self.ask("GET", "/containers/json?all=1")[1])]

    def close(self) -> None:
        """End it for good with its containers, networks, mounts, bridges and rules, and remove what it wrote."""
        try:
            if not self.answers():
                self.kill()
                self.start()
            for one in self.containers():
                self.ask("DELETE", f"/containers/{one}?force=1&v=1")
            self.ask("POST", "/networks/prune")
            self._end_gracefully()
        finally:
            try:
                self.kill()
                self._bury()
            finally:
                super().close()

    def _end_gracefully(self) -> None:
        """SIGTERM lets it take away its rules for ports and networks."""
        for child in self._children:
            child.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                child.wait(15)

    def _bury(self) -> None:
        """What a daemon leaves by design: shims, mounts, bridges, control groups, and chains where it was alone."""
        for one in psutil.process_iter(["cmdline"]):
            words = " ".join(one.info["cmdline"] or ())
            if "containerd-shim" in words and f" {self.folder}/" in words:
                with suppress(psutil.NoSuchProcess):
                    for below in [*one.children(recursive=True), one]:
                        below.kill()
        below = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((one for one in below if one.startswith(f"{self.folder}/")), reverse=True):
            _said("umount", "-l", mount)
        _said("ip", "link", "delete", self.mark)
        for group in sorted(Path("/sys/fs/cgroup").glob(f"**/{self.mark}/**/"), reverse=True):
            with suppress(OSError):
                group.rmdir()
        _remove_rules(lambda rule: f" {self.mark} " in f"{rule} " or _of_no_bridge(rule))
        with _alone() as policy:
            engines = [one.info["cmdline"] for one in psutil.process_iter(["name", "status", "cmdline"]) if _runs(one)]
            if not any("/modelyard-docker-" in " ".join(words) for words in engines):
                _said("iptables", "-w", "-P", "FORWARD", policy.read() or "ACCEPT")
                policy.truncate(0)
            if not engines:
                _remove_chains()


@contextmanager
def _alone() -> Iterator[IO[str]]:
    """While nobody else starts an engine of ours, nor clears away behind the last one; `POLICY`, opened."""
    POLICY.touch()
    with POLICY.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def trusted() -> dict[str, str]:
    """What pip and others are told on this machine about certificates and time-outs, for what is built in containers.

    The bundle itself lies where Debian has it (see `base_tar`)."""
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    names = (
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "PIP_DEFAULT_TIMEOUT",
        "PIP_RETRIES",
        "UV_INDEX_URL",
        "UV_DEFAULT_INDEX",
    )
    told = {name: os.environ[name] for name in names if name in os.environ and "file:" not in os.environ[name]}
    certificates = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    return told | {name: bundle for name in certificates if name in os.environ}


def _runs(one: psutil.Process) -> bool:
    """Whether it was an engine, and no corpse, when it was looked at."""
    return bool(one.info["name"] == "dockerd" and one.info["status"] != psutil.STATUS_ZOMBIE)


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout


def _free_subnet() -> str:
    """The first half (`10.x`) of a network that nobody here has."""
    routes = _said("ip", "route")
    free = [f"10.{number}" for number in range(160, 250) if f"10.{number}." not in routes]
    return random.choice(free)


def _remove_rules(ours: Callable[[str], bool]) -> None:
    for table in ("filter", "nat"):
        for rule in _said("iptables", "-t", table, "-S").splitlines():
            if rule.startswith("-A") and ours(rule):
                _said("iptables", "-t", table, "-D", *rule.split()[1:])


def _of_no_bridge(rule: str) -> bool:
    """Whether it is of an owner's network that is gone: a dockerd that comes back makes it once more."""
    named = [word for word in rule.split() if word.startswith("yd") and not word.endswith("+")]
    return any(not Path("/sys/class/net", name).exists() for name in named)


def _remove_chains() -> None:
    """The chains that dockerd makes and never removes; one that starts later makes them anew."""
    _remove_rules(lambda rule: "DOCKER" in rule)
    for table in ("filter", "nat"):
        rules = _said("iptables", "-t", table, "-S").splitlines()
        for chain in (rule.split()[1] for rule in rules if rule.startswith("-N DOCKER")):
            _said("iptables", "-t", table, "-X", chain)
