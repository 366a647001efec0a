"""Notes that lie in the broker itself: what they tell of is lost exactly when they are.

`<queue>.types` holds one message, the types of which the queue was given everything; `modelyard.log.<service>` is there
where the log has what that service told. A broker whose disk was lost has neither, and so it is filled again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity
from pamqp.common import FieldTable
from pydantic import TypeAdapter

from common.bus.rabbitmq.topology import DECLARE_SECONDS, LOG
from common.kernel.errors import Unavailable

_TYPES = TypeAdapter(frozenset[str])
_LAST_ONE: FieldTable = {"x-max-length": 1, "x-overflow": "drop-head"}

TellAgain = Callable[[], Awaitable[None]]


async def types_given(connection: AbstractConnection, queue: str) -> frozenset[str]:
    """The types of which a queue was given everything; none where it is not there, and then there is no note either."""
    asked = queue
    try:
        async with connection.channel() as channel:  # the note that is read goes back when it is closed
            await channel.declare_queue(queue, passive=True, timeout=DECLARE_SECONDS)
            asked = _types(queue)
            note = await channel.declare_queue(asked, passive=True, timeout=DECLARE_SECONDS)
            message = await note.get(fail=False, timeout=DECLARE_SECONDS)
            return frozenset() if message is None else _TYPES.validate_json(message.body)
    except ChannelNotFoundEntity:
        if asked == queue:
            async with connection.channel() as channel:
                await channel.queue_delete(_types(queue), timeout=DECLARE_SECONDS)
        return frozenset()


async def note_types(connection: AbstractConnection, queue: str, types: frozenset[str]) -> None:
    """From now on the queue was given everything of these, and of no others."""
    async with connection.channel() as channel:
        await channel.declare_queue(_types(queue), durable=True, arguments=_LAST_ONE, timeout=DECLARE_SECONDS)
        note = Message(_TYPES.dump_json(types), delivery_mode=DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(note, _types(queue), mandatory=True, timeout=DECLARE_SECONDS)


async def tell_again_where_lost(connection: AbstractConnection, service: str, tell_again: TellAgain) -> None:
    """Let a service tell again what the broker has lost. Raises ConnectionError where the service can't now."""
    note = f"{LOG}.{service}"
    if await _exists(connection, note):
        return
    try:
        await tell_again()
    except Unavailable as problem:
        raise ConnectionError(f"what the broker lost can't be told again now: {problem.detail}") from problem
    async with connection.channel() as channel:
        await channel.declare_queue(note, durable=True, timeout=DECLARE_SECONDS)


async def _exists(connection: AbstractConnection, queue: str) -> bool:
    """Asking for a queue that is not there costs the channel on which one asks."""
    try:
        async with connection.channel() as channel:
            await channel.declare_queue(queue, passive=True, timeout=DECLARE_SECONDS)
    except ChannelNotFoundEntity:
        return False
    return True


def _types(queue: str) -> str:
    return f"{queue}.types"
