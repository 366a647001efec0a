"""The small process beside every workload, which outlives the platform and writes down how the workload ended.

It is run as `python -I -S -E supervisor.pyc <folder>`, on the way from a request to a running process, so until the
workload runs it imports only what is built into the interpreter: `_signal` is `signal` without its enums (4 ms less),
no `typing`, and the launch file is words rather than JSON (3 ms less). What is needed afterwards is in `ending.py`.

The order is the promise: take the lock, write `started`, only then start the child. Whoever finds `started`
never starts it again; whoever finds neither `started` nor the lock held may. See `folder.py` for the files.
"""

# ruff: noqa: PTH103, PTH104, PTH110, PTH120, PTH123, T201

import _signal  # type: ignore[import-not-found]
import fcntl
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

ROOM = 4096
TRUNCATED = b"\n[the log is cut here: its limit of %d bytes is reached]\n"
TERM, CONT = int(_signal.SIGTERM), int(_signal.SIGCONT)
NEVER = float("inf")

Plan = dict[str, list[str]]


def parse_plan(content: bytes) -> Plan:
    """The launch file: key, value, key, value …, each ended by a NUL; a key may come again."""
    words = [os.fsdecode(word) for word in content.split(b"\0")]
    plan: Plan = {}
    for key, value in zip(words[0::2], words[1::2], strict=False):
        plan.setdefault(key, []).append(value)
    return plan


def one(plan: Plan, key: str, default: str = "0") -> str:
    """The only value of a key."""
    return plan.get(key, [default])[0]


def note(name: str, text: str) -> None:
    """Write a record into the room kept for it (`name.tmp`), then name it: whole or absent, on a full disk too."""
    fd = os.open(f"{name}.tmp", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.pwrite(fd, text.encode().ljust(ROOM), 0)
    os.close(fd)
    os.rename(f"{name}.tmp", name)


def identity(pid: int) -> str:
    """A record that names a process beyond doubt: `start` in clock ticks since boot, `at` in seconds since 1970."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        start = int(file.read().rpartition(b")")[2].split()[19])
    with open("/proc/sys/kernel/random/boot_id") as boot:
        return f'{{"pid": {pid}, "start": {start}, "boot": "{boot.read().strip()}", "at": {time.time():.6f}}}'


def put(path: str, text: str) -> None:
    """Write a value into a kernel file."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def make_groups(plan: Plan) -> None:
    """Make the workload's control groups and write its limits into them."""
    for group in plan.get("cgroup", []):
        os.makedirs(group, exist_ok=True)
    for pair in plan.get("set", []):
        put(*pair.split("=", 1))


def enter(group: str) -> None:
    """Move this process into a control group, in version 1 as the one thread that it is: see decision 0016."""
    put(f"{group}/tasks" if os.path.exists(f"{group}/tasks") else f"{group}/cgroup.procs", "0")


def become(plan: Plan, log: int, fault: int) -> "NoReturn":
    """In the forked child: put on limits, user and folder, then become the workload. A fault is told by the pipe."""
    try:
        os.setpgid(0, 0)
        for group in plan.get("cgroup", []):
            enter(group)
        put("/proc/self/oom_score_adj", "300")  # where memory runs out, the workload goes before the platform
        os.dup2(log, 1)
        os.dup2(log, 2)
        change_user(int(one(plan, "uid")), int(one(plan, "nproc")))
        os.chdir(one(plan, "cwd"))
        os.umask(0o022)
        for number in (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGINT, _signal.SIGHUP):
            _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, [])
        program, environment = one(plan, "exe"), dict(pair.split("=", 1) for pair in plan.get("env", []))
        run = os.execve if "/" in program else os.execvpe  # the latter looks for it in the environment's PATH
        run(program, plan["arg"], environment)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent reports it
        reason = getattr(error, "strerror", None) or repr(error)
        os.write(fault, f"{getattr(error, 'filename', None) or one(plan, 'exe')}: {reason}"[:1000].encode())
    os._exit(127)


def change_user(uid: int, nproc: int) -> None:
    """Become that user, of at most so many processes; 0 is no change and no limit."""
    if nproc:
        import resource

        resource.setrlimit(resource.RLIMIT_NPROC, (nproc, nproc))
    if uid:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)


class Log:
    """Where the child writes: the file itself, or with a limit a pipe of which no more than that is kept."""

    def __init__(self, limit: int) -> None:
        self.file = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.limit, self.seen, self.source, self.full = limit, 0, -1, False
        self.child = self.file
        if limit:
            self.source, self.child = os.pipe()
            os.set_blocking(self.source, False)

    def started(self) -> None:
        """The child has its end of the pipe; ours would keep it open."""
        if self.limit:
            os.close(self.child)

    def pump(self) -> None:
        """Keep what is there; beyond the limit drain it, so that the workload never blocks on its own output."""
        for _ in range(64):
            if self.source < 0:
                return
            try:
                data = os.read(self.source, 65536)
            except BlockingIOError:
                return
            if not data:
                os.close(self.source)
                self.source = -1
            elif self.seen <= self.limit:
                self._keep(data)

    def _keep(self, data: bytes) -> None:
        room = self.limit - self.seen
        self.seen += len(data)
        if self.seen > self.limit:
            data = data[:room] + TRUNCATED % self.limit
        try:
            while data:
                data = data[os.write(self.file, data) :]
        except OSError:
            self.full = True  # the disk is full: go on draining, and say so at the end


class Supervisor:
    """Starts one child and keeps its log and its limits until it ends."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.log = Log(int(one(plan, "log_bytes")))
        self.child = 0
        self.terms = 0
        self.cause = ""
        self.kill_at = NEVER
        seconds = float(one(plan, "seconds"))
        self.limit_at = time.monotonic() + seconds if seconds else NEVER
        self.wake, self.waker = os.pipe()

    def listen(self) -> None:
        """From here on signals are noticed (until now they were blocked, not lost)."""
        for fd in (self.wake, self.waker):
            os.set_blocking(fd, False)
        _signal.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        _signal.signal(TERM, self._on_term)
        _signal.signal(_signal.SIGCHLD, lambda *_: None)
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
        _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, [])

    def _on_term(self, *_: object) -> None:
        self.terms += 1

    def start(self) -> str:
        """Start the child; gives the reason where that failed, else an empty text."""
        try:
            make_groups(self.plan)
        except OSError as error:
            return f"a control group can't be made ({error.filename}: {error.strerror})"
        heard, fault = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            become(self.plan, self.log.child, fault)
        os.close(fault)
        reason = os.read(heard, ROOM).decode(errors="replace")
        os.close(heard)
        self.log.started()
        return reason

    def watch(self, kill_rest: "Callable[[Plan, int], object]") -> None:
        """Wait for the child's end; it stays a zombie, so that its pid can't be reused yet."""
        poller = select.poll()
        poller.register(self.wake, select.POLLIN)
        if self.log.source >= 0:
            poller.register(self.log.source, select.POLLIN)
        while not self._ended():
            source = self.log.source
            ready = poller.poll(self._patience())
            if any(fd == self.wake for fd, _ in ready):
                os.read(self.wake, ROOM)
            self.log.pump()
            if source >= 0 > self.log.source:
                poller.unregister(source)
            self._enforce(time.monotonic())
            if time.monotonic() >= self.kill_at:
                kill_rest(self.plan, self.child)
                self.kill_at = time.monotonic() + 0.05

    def _patience(self) -> float | None:
        wait = min(self.limit_at, self.kill_at) - time.monotonic()
        return None if wait == NEVER else max(0.0, min(wait, 3600.0)) * 1000 + 1

    def _ended(self) -> bool:
        """Take leave of adopted processes that ended; whether the child itself did."""
        while seen := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if seen.si_pid == self.child:
                return True
            os.waitpid(seen.si_pid, 0)
        return False

    def _enforce(self, now: float) -> None:
        if self.terms:
            self.terms = 0
            self._ask_to_end("stopped", stop_grace())
        if now >= self.limit_at:
            self.limit_at = NEVER
            self._ask_to_end("time_limit", float(one(self.plan, "grace", "10")))

    def _ask_to_end(self, cause: str, grace: float) -> None:
        self.kill_at = min(self.kill_at, time.monotonic() + grace)
        if self.cause:
            return  # it was told already; a second signal would hit it while it ends
        self.cause = cause
        try:
            for number in (TERM, CONT):
                os.killpg(self.child, number)
        except OSError as error:  # it ended just now, or became another user
            print(f"the workload can't be signalled: {error.strerror}", file=sys.stderr)


def stop_grace() -> float:
    """Seconds between asking and killing, from the stop request; 10 where the signal came without one."""
    try:
        with open("stop") as file:
            return float(file.read() or "10")
    except FileNotFoundError:
        return 10.0


def main(folder: str) -> None:
    """Run the workload of that folder, unless another supervisor did or does."""
    os.chdir(folder)
    os.closerange(3, 1 << 20)  # what the platform's libraries may have let through
    lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    if os.path.exists("started") or os.path.exists("exit.json"):
        return
    note("started", identity(os.getpid()))
    with open("launch", "rb") as file:
        plan = parse_plan(file.read())
    supervisor = Supervisor(plan)
    supervisor.listen()
    stopped = os.path.exists("stop")
    reason = "it was stopped before it started" if stopped else supervisor.start()
    if not reason:
        note("running", identity(supervisor.child))
    os.dup2(0, 1)  # closes the pipe on which the platform waits to hear that it runs
    sys.path.insert(0, os.path.dirname(__file__))
    import ending  # type: ignore[import-not-found]

    if reason:
        ending.end(plan, "stopped" if stopped else "launch_failed", reason)
    ending.adopt_orphans()
    supervisor.watch(ending.kill_rest)
    ending.finish(plan, supervisor.child, supervisor.cause, supervisor.log)


if __name__ == "__main__":
    main(sys.argv[1])
