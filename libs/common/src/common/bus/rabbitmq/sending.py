"""Sending many messages in one go, with one wait for all their confirms.

The library makes a task, a lock, two time-outs and a future for each message, which costs four times what the message
itself does. What is published together is confirmed together, so here a message has a slot, and all have one future.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pamqp.frame
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq import Channel
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader


@dataclass(frozen=True, eq=False)
class Outgoing:
    """A message on its way: the library tells what was returned by its message id, so none may be in flight twice."""

    exchange: str
    key: str
    body: bytes
    properties: Basic.Properties


class Together:
    """Messages that are sent together, and what became of them."""

    def __init__(self, channel: Channel, messages: Sequence[Outgoing]) -> None:
        self.returned: list[Outgoing] = []
        """Those that were bound to nothing."""
        self.refused: list[Outgoing] = []
        """Those that a queue had no room for, or the broker could not keep."""
        self.channel = channel
        self._tags = channel.message_id_delivery_tag
        self._answered = channel.create_future()
        self._left = len(messages)

    async def answers(self) -> None:
        """Return when the broker has answered for each. Raises what ended the channel before."""
        await self._answered

    def settled(self, message: Outgoing) -> None:
        """The broker has answered for this one."""
        self._tags.pop(str(message.properties.message_id), None)
        self._left -= 1
        if not self._left and not self._answered.done():
            self._answered.set_result(None)


class _Slot:
    """Stands for one message where the library keeps futures, and is as much of a future as the library asks for."""

    __slots__ = ("_done", "_message", "_together")

    def __init__(self, message: Outgoing, together: Together) -> None:
        self._message = message
        self._together = together
        self._done = False

    def done(self) -> bool:
        """Whether the broker has answered."""
        return self._done

    def cancelled(self) -> bool:
        """Nobody cancels one alone."""
        return False

    def set_result(self, _frame: Any) -> None:
        """It is confirmed."""
        self._settle()

    def set_exception(self, error: BaseException) -> None:
        """It was returned, or refused."""
        if isinstance(error, PublishError):
            self._together.returned.append(self._message)
        elif isinstance(error, DeliveryError):
            self._together.refused.append(self._message)
        self._settle()

    def _settle(self) -> None:
        self._done = True
        self._together.settled(self._message)


async def send(channel: Channel, messages: Sequence[Outgoing]) -> Together:
    """Write them all, in this order, `mandatory`. Only `send` may publish on this channel, which confirms.

    Raises what the library raises where the channel is closed. Cut off in between the channel is of no more use.
    """
    async with channel.lock:
        together = Together(channel, messages)
        for message in messages:
            channel.delivery_tag += 1
            channel.confirmations[channel.delivery_tag] = cast("asyncio.Future[Any]", _Slot(message, together))
            channel.message_id_delivery_tag[str(message.properties.message_id)] = channel.delivery_tag
        payload = b"".join(_frames(channel, messages))
        await channel.write_queue.put(ChannelFrame(payload=payload, should_close=False))
    return together


def _frames(channel: Channel, messages: Sequence[Outgoing]) -> list[bytes]:
    """Each message as AMQP 0-9-1 §2.3.5 has it: method, header, and the body in pieces that fit a frame."""
    room, number, methods = channel.max_content_size, channel.number, dict[tuple[str, str], bytes]()
    frames = []
    for message in messages:
        if (to := (message.exchange, message.key)) not in methods:
            publish = Basic.Publish(exchange=message.exchange, routing_key=message.key, mandatory=True)
            methods[to] = pamqp.frame.marshal(publish, number)
        header = ContentHeader(properties=message.properties, body_size=len(message.body))
        frames += [methods[to], pamqp.frame.marshal(header, number)]
        for start in range(0, len(message.body), room):
            frames.append(pamqp.frame.marshal(ContentBody(message.body[start : start + room]), number))
    return frames
