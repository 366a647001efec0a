"""A small process that forks supervisors: one that has all they need in memory already starts them in a millisecond,
where a new interpreter takes twenty.

It is run as `python -I -S -E forker.pyc` with a socket as its standard input. Each message on it names a prepared
folder and brings the pipe that the supervisor holds until its workload runs; the answer is the supervisor's pid, with
a pidfd that is surely its own. It ends with the platform; supervisors have sessions of their own and go on.
"""

# ruff: noqa: PTH120, BLE001

import _signal  # type: ignore[import-not-found]
import os
import select
import socket
import sys
import traceback

BLOCKED = (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, _signal.SIGCHLD)
READY = b"ready"
ROOM = 8192


def become_supervisor(main: object, folder: str, held: int) -> None:
    """In the forked child: what `spawn_supervisor` would have given it, then what it is for. Never comes back."""
    code = 1
    try:
        os.setsid()
        empty = os.open("/dev/null", os.O_RDONLY)
        said = os.open(f"{folder}/supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for source, target in ((empty, 0), (held, 1), (said, 2)):
            os.dup2(source, target)
        assert callable(main)
        main(folder)
        code = 0
    except BaseException:
        traceback.print_exc()  # into its own log
    finally:
        os._exit(code)


def reap() -> None:
    """Take leave of supervisors that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


def serve(asked: socket.socket, main: object) -> None:
    """Fork until nobody asks any more."""
    wake, waker = os.pipe()
    for fd in (wake, waker):
        os.set_blocking(fd, False)
    _signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    _signal.signal(_signal.SIGCHLD, lambda *_: None)
    poller = select.poll()
    poller.register(wake, select.POLLIN)
    poller.register(asked, select.POLLIN)
    asked.send(READY)
    while True:
        ready = {fd for fd, _ in poller.poll()}
        if wake in ready:
            os.read(wake, ROOM)
        if asked.fileno() in ready:
            folder, pipes, _, _ = socket.recv_fds(asked, ROOM, 1)
            if not folder:
                return
            answer(asked, main, os.fsdecode(folder), pipes[0])
        reap()  # only now: until it is answered, a pid is nobody else's


def answer(asked: socket.socket, main: object, folder: str, held: int) -> None:
    """Fork one, and tell who it is."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, BLOCKED)
    pid = os.fork()
    if pid == 0:
        become_supervisor(main, folder, held)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, BLOCKED)
    os.close(held)
    own = os.pidfd_open(pid)
    socket.send_fds(asked, [str(pid).encode()], [own])
    os.close(own)


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(__file__))
    import ending  # type: ignore[import-not-found]  # noqa: F401 - every supervisor needs it in the end
    import supervisor  # type: ignore[import-not-found]

    serve(socket.socket(fileno=0), supervisor.main)
