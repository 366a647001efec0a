"""The address that is listened on, and the server on it: one way for a service alone and for all together."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from common.hosting.door import Door, Health
from common.hosting.settings import MachineSettings

BACKLOG = 2048

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named, because asyncio lets small answers leave at once (TCP_NODELAY) only where it reads that it is TCP
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from error
    listener.listen(BACKLOG)
    return listener


def address_of(listener: socket.socket) -> str:
    """Where it answers."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """A server that leaves signals to its host, which has more to do at the end than to close a socket."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def server_of(app: ASGIApp, stop_seconds: float) -> uvicorn.Server:
    """The server for an app; at its end requests in flight have so many seconds."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=max(round(stop_seconds), 1),
        proxy_headers=False,  # else anybody could claim another address, and guess passwords for ever
    )
    return _Server(config)


@contextlib.contextmanager
def listeners(settings: MachineSettings) -> Iterator[list[socket.socket]]:
    """The sockets of everybody's listener and, where one is set, of the operator's. Raises OSError (port taken)."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(contextlib.closing(listen(settings.host, settings.port)))]
        if settings.operator_port is not None:
            operator = listen(settings.operator_host, settings.operator_port)
            sockets.append(stack.enter_context(contextlib.closing(operator)))
        yield sockets


class Listening:
    """Everybody's listener and perhaps the operator's, each with its door. `open` lets requests in to the services."""

    def __init__(self, settings: MachineSettings, health: Health, sockets: Sequence[socket.socket]) -> None:
        self._door = Door(health)
        doors = [self._door, Door(health, operator=True)]
        self._doors = list(zip(sockets, doors, strict=False))
        self._stop_seconds = settings.stop_seconds
        self.address = address_of(sockets[0])
        self._servers: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    def start(self) -> None:
        """Answer from now on."""
        for listener, door in self._doors:
            server = server_of(door, self._stop_seconds)
            self._servers.append((server, asyncio.create_task(server.serve(sockets=[listener]))))

    def open(self, app: ASGIApp) -> None:
        """The service works: its requests are let in."""
        self._door.behind = app

    async def stop(self) -> None:
        """Accept nothing more, and let requests in flight come to their end."""
        for server, _ in self._servers:
            server.should_exit = True
        await asyncio.gather(*(task for _, task in self._servers))


def told_to_stop() -> asyncio.Event:
    """Set by SIGTERM and SIGINT. The second signal ends the process at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def heard() -> None:
        stop.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, heard)
    return stop


def settle() -> None:
    """What was built so far stays for good: looking through it again and again would stall requests."""
    gc.collect()
    gc.freeze()
