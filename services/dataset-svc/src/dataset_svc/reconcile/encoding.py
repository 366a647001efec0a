"""Records on their way into files, through an encoder that has a thread of its own and is never left alone in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from common.threads import taken, to_the_end
from dataset_svc.sets import Encoder, Record, Terms, set_format

Add = Callable[[Sequence[Record]], Awaitable[None]]
"""Takes the next records, one batch at a time."""


@asynccontextmanager
async def encoding(format: str, folder: Path, terms: Terms) -> AsyncIterator[Add]:
    """Begin a set's files in `folder`, which is made; the block adds to them, and at its end they are whole.

    One thread does all of it in turn, and a cancelled task waits for what it is at: a writer that is closed while
    another thread writes takes the whole process with it. What ended the block early is told, whatever closing the
    files, which are of no use then, has to say: a cancellation stays one. Raises as Encoder does, and OSError.
    """
    with ThreadPoolExecutor(1, "encoder") as one:
        begin = partial(_open, format, folder, terms)
        encoder = await taken(one, begin, lambda opened: one.submit(opened.close))

        async def add(records: Sequence[Record]) -> None:
            await to_the_end(one, _add, encoder, records)

        try:
            yield add
        except BaseException:
            with suppress(Exception):
                await to_the_end(one, encoder.close)
            raise
        await to_the_end(one, encoder.close)


def _open(format: str, folder: Path, terms: Terms) -> Encoder:
    folder.mkdir(parents=True)
    return set_format(format).open(folder, terms)


def _add(encoder: Encoder, records: Sequence[Record]) -> None:
    for record in records:
        encoder.add(record)
