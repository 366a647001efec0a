"""A file in parts, of which several are on their way at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Protocol

AT_ONCE = 4
"""Parts on their way; memory holds these and the one that is being read."""


class Sending(Protocol):
    """Sends one part in a thread of its own, by a function that gives its bytes."""

    def __call__(self, put: Callable[[int, bytes], int], number: int, content: bytes) -> None:
        """Waits while `AT_ONCE` are on their way; raises what an earlier one raised."""


def parts_of(file: Path, size: int) -> Iterator[tuple[int, bytes]]:
    """The file in numbered parts of `size` bytes."""
    with file.open("rb", buffering=0) as stream:
        number = 1
        while content := stream.read(size):
            yield number, content
            number += 1


@contextmanager
def abreast(progress: Callable[[int], None]) -> Iterator[Sending]:
    """What sends parts, all of which are there at the end; `progress` is told the bytes of each. Where one raises,
    those on their way are waited for and no more are sent. Who is interrupted (Ctrl-C) waits for none."""
    under_way = deque[Future[int]]()

    def send(put: Callable[[int, bytes], int], number: int, content: bytes) -> None:
        while len(under_way) >= AT_ONCE:
            progress(under_way.popleft().result())
        under_way.append(_begun(put, number, content))

    try:
        yield send
        while under_way:
            progress(under_way.popleft().result())
    except Exception:
        wait(under_way)
        raise


def _begun(put: Callable[[int, bytes], int], number: int, content: bytes) -> Future[int]:
    """What becomes of a part, in a thread that no ending process waits for, as it would for an executor's."""
    outcome: Future[int] = Future()

    def run() -> None:
        try:
            outcome.set_result(put(number, content))
        except BaseException as error:  # noqa: BLE001 - raised where the outcome is asked for
            outcome.set_exception(error)

    Thread(target=run, name=f"part-{number}", daemon=True).start()
    return outcome
