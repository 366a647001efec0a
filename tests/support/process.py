"""An embedded platform in a process of its own, as people run it: it can be stopped, killed and started again.

Nothing of it may stay behind: `close` ends it with all its workloads, and `left_over` finds whoever survived.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import algo_svc
from common.images.engines import LocalEngines
from common.ports.images import EngineSpec
from embedded.commands.control import end_workloads
from embedded.lock import who_runs
from tests.servers.ports import quiet_port
from yard import Client

REPOSITORY = Path(__file__).parents[2]
ENGINE = "sklearn-1.9"
START_SECONDS = 180.0
STOP_SECONDS = 60.0
ADMIN_PASSWORD = "a-password-for-tests"

_ALWAYS_MOVING = frozenset({"leases", "ledgers", "sqlite_sequence"})
"""Tables that change by themselves."""

R = TypeVar("R")
Facts = dict[str, list[tuple[Any, ...]]]


def engine_cache() -> Path:
    """Where built engines are kept between runs; `make` says so by the same variable."""
    return Path(os.environ.get("YARD_ENGINE_CACHE") or REPOSITORY / ".cache" / "engines").absolute()


def ensure_engine() -> Path:
    """The engine of the presets, built once a machine. Its folder."""
    described = json.loads((Path(algo_svc.__file__).parent / "presets" / "engines.json").read_text())
    wanted = next(one for one in described if one["name"] == ENGINE)
    spec = EngineSpec(wanted["name"], tuple(wanted["requirements"]), wanted["python"])

    async def build() -> Path:
        engines = LocalEngines(engine_cache())
        status = await engines.ensure(spec)
        await engines.close()
        assert status.path is not None
        return status.path

    return asyncio.run(build())


@dataclass
class SmallDisk:
    """A folder on a disk of its own of `size` bytes: a tmpfs where one may mount.

    Elsewhere a full disk is played by the largest file that the platform and what it starts may write, which the
    kernel answers in the same way.
    """

    folder: Path
    size: int
    mounted: bool = False

    def put_up(self) -> None:
        """Mount it where that is allowed."""
        self.folder.mkdir(mode=0o711, parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={self.size},mode=711", "tmpfs", str(self.folder)]
        self.mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def take_away(self) -> None:
        """Unmount it."""
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def fill(self, process: int, leave: int) -> None:
        """Leave room for so many bytes only."""
        self.free(process)
        if not self.mounted:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (leave, resource.RLIM_INFINITY))
            return
        state = os.statvfs(self.folder)
        with (self.folder / "ballast").open("wb") as ballast:
            ballast.write(bytes(max(state.f_bavail * state.f_frsize - leave, 0)))

    def free(self, process: int) -> None:
        """Give the room back."""
        if not self.mounted:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        (self.folder / "ballast").unlink(missing_ok=True)


class Gate(ABC):
    """The address of a platform, and clients of it."""

    @property
    @abstractmethod
    def address(self) -> str:
        """Where it answers."""

    def client(self, **how: Any) -> Client:
        """A client that nobody is logged in to."""
        return Client(self.address, **how)

    def admin(self, **how: Any) -> Client:
        """The administrator's client."""
        client = self.client(**how)
        client.login("admin", ADMIN_PASSWORD)
        return client

    def user(self, name: str, **how: Any) -> Client:
        """The client of a user, who is made where there is none of that name."""
        with self.admin() as admin:
            if not any(one["name"] == name for one in admin.users.each(q=name)):
                admin.users.create(name, f"{name}-password-for-tests")
        client = self.client(**how)
        client.login(name, f"{name}-password-for-tests")
        return client


@dataclass
class PlatformProcess(Gate):
    """The platform on `home`. It listens on the same port in all its lives, so that clients find it again."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=quiet_port)
    lives: int = 0
    kills: int = 0
    disks: dict[str, SmallDisk] = field(default_factory=dict)
    _child: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process of its present life."""
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        until(self._answers, START_SECONDS, lambda: f"it did not start:\n{self.log_end()}")

    def launch(self) -> None:
        """Start its process, and don't wait for it."""
        assert self._child is None, "it runs already"
        with (self.home / "platform.log").open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "embedded", "serve"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                cwd=self.home,
                start_new_session=True,
            )
        self.lives += 1

    def _environment(self) -> dict[str, str]:
        ours = {
            "YARD_HOME": str(self.home),
            "YARD_HOST": "127.0.0.1",
            "YARD_PORT": str(self.port),
            "YARD_ENGINE_CACHE": str(engine_cache()),
            "GATEWAY_ADMIN_PASSWORD": ADMIN_PASSWORD,
        }
        return os.environ | ours | self.environment

    def _answers(self) -> str | None:
        assert self._child is not None
        if self._child.poll() is not None:
            raise AssertionError(f"the platform ended with {self._child.returncode}:\n{self.log_end()}")
        running = who_runs(self.home)
        return running.address if running is not None and running.pid == self._child.pid else None

    def stop(self) -> None:
        """End it politely."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9, whatever it does at this moment."""
        self.kills += 1
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._child is None:
            return
        self._child.send_signal(number)
        self._child.wait(STOP_SECONDS)
        self._child = None

    def close(self) -> list[str]:
        """Stop it and all that it runs, remove its state; gives the processes that were left over nevertheless."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
        asyncio.run(end_workloads(self.home))
        left = settled_left_over(self.home)
        for disk in self.disks.values():
            disk.take_away()
        shutil.rmtree(self.home)
        return left

    def rows(self, service: str, query: str, *given: Any) -> list[tuple[Any, ...]]:
        """Rows of a service's own database, read beside it."""
        return rows_of(self.database(service), query, *given)

    def database(self, service: str) -> Path:
        """A service's database."""
        return self.home / "db" / f"{service}.sqlite3"

    def services(self) -> list[str]:
        """The services that have a database."""
        return sorted(path.stem for path in (self.home / "db").glob("*.sqlite3"))

    def keepers(self) -> list[str]:
        """The services that have an outbox."""
        query = "SELECT 1 FROM sqlite_master WHERE name = 'outbox'"
        return [service for service in self.services() if self.rows(service, query)]

    def facts(self) -> Facts:
        """See `facts_of`."""
        return facts_of(self.home)

    def settled_facts(self, seconds: float = 180.0) -> Facts:
        """The same once every event was delivered and nothing has moved for half a second."""
        last, still = self.facts(), 0
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.1)
            now = self.facts()
            unsent = [service for service in self.services() if self.unsent(service)]
            still = still + 1 if now == last and not unsent else 0
            if still == 5:
                return now
            last = now
        raise AssertionError(f"it did not settle within {seconds:g} s")

    def unsent(self, service: str) -> int:
        """How many events wait in a service's outbox."""
        if not self.rows(service, "SELECT 1 FROM sqlite_master WHERE name = 'outbox'"):
            return 0
        [(count,)] = self.rows(service, "SELECT count(*) FROM outbox WHERE sent_at IS NULL")
        return int(count)

    def log_end(self, lines: int = 30) -> str:
        """The end of its log, for failures."""
        log = self.home / "platform.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"


@contextmanager
def platform(disks: Mapping[str, int] | None = None, **environment: str) -> Iterator[PlatformProcess]:
    """A running platform on a state folder of its own, whose workloads may pass through to their folders.

    `disks` puts folders of it (such as `files`) on small disks of so many bytes.
    """
    home = Path(tempfile.mkdtemp(prefix="modelyard-test-"))
    home.chmod(0o711)
    process = PlatformProcess(home, environment)
    try:
        for name, size in (disks or {}).items():
            process.disks[name] = SmallDisk(home / name, size)
            process.disks[name].put_up()
        process.start()
        yield process
    except BaseException:
        print(f"The end of the platform's log:\n{process.log_end(60)}")
        raise
    finally:
        left = process.close()
    assert not left, f"still running: {left}"


def facts_of(home: Path) -> Facts:
    """Every row of a state folder that says something, by `service.table`, and the names of all stored files."""
    found: Facts = {}
    for database in sorted((home / "db").glob("*.sqlite3")):
        for (table,) in rows_of(database, "SELECT name FROM sqlite_master WHERE type = 'table'"):
            if table not in _ALWAYS_MOVING:
                found[f"{database.stem}.{table}"] = sorted(rows_of(database, f"SELECT * FROM {table}"), key=repr)
    files = home / "files"  # by os.walk, as folders are removed meanwhile, which rglob doesn't bear
    paths = sorted(Path(at, name) for at, _, names in os.walk(files) for name in names)
    found["files"] = [(str(path.relative_to(files)),) for path in paths if path.is_file()]
    return found


def rows_of(database: Path, query: str, *given: Any) -> list[tuple[Any, ...]]:
    """Rows of a SQLite database that others may be writing to."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query, given).fetchall()


def until(
    ask: Callable[[], R | None],
    seconds: float,
    otherwise: Callable[[], str] = lambda: "it did not happen",
    pause: float = 0.02,
) -> R:
    """What `ask` gives once it gives something true. Fails after `seconds`, saying `otherwise`."""
    deadline = time.monotonic() + seconds
    while not (seen := ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s: {otherwise()}")
        time.sleep(pause)
    return seen


def left_over(home: Path) -> list[str]:
    """Every process that has to do with a state folder: by its command, its working folder, or an open file there.

    Not the one that forks supervisors for a platform that runs, which ends with it; supervisors themselves, which look
    like it, are its children, or nobody's.
    """
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid() and (why := _belongs(folder, str(home))):
            found.append(why)
    return found


def settled_left_over(home: Path, seconds: float = 180.0) -> list[str]:
    """Who is left when processes that are just ending have ended."""
    deadline = time.monotonic() + seconds
    while (left := left_over(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


_FORKER = "/forker.pyc"


def _command_of_parent(process: Path) -> str:
    """What a process's parent runs; where that has ended, something that is taken for a forker."""
    parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
    if parent == "1":
        return _FORKER
    return (process.parent / parent / "cmdline").read_bytes().decode(errors="replace")


def _belongs(process: Path, home: str) -> str:
    try:
        if (process / "stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X"):
            return ""
        command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        told = f"{process.name}: {command}"
        if _FORKER in command and _FORKER not in _command_of_parent(process):
            return ""
        if home in command or home in str((process / "cwd").readlink()):
            return told
        environment = (process / "environ").read_bytes().decode(errors="replace")
        return told if home in environment else ""
    except OSError:
        return ""
