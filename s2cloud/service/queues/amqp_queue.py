"""RabbitMQ, or another broker of AMQP 0.9.1: what is not acknowledged comes again."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s2cloud.service.queues.model import not_installed
from s2cloud.service.settings import read_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from s2cloud.service.queue_settings import AmqpQueue
    from s2cloud.service.queues.model import Message, Queue


@dataclass(slots=True)
class _Message:
    message: Any

    @property
    def body(self) -> bytes:
        return bytes(self.message.body)

    @property
    def headers(self) -> dict[str, str]:
        found = {str(name): str(value) for name, value in (self.message.headers or {}).items()}
        if self.message.content_type:
            found["content-type"] = str(self.message.content_type)
        return found

    async def acknowledge(self) -> None:
        await self.message.ack()

    async def extend(self) -> None:
        """Nothing: a message stays ours while the channel is open."""

    async def hand_back(self) -> None:
        await asyncio.sleep(1.0)  # it comes again at once
        await self.message.nack(requeue=True)


@dataclass(slots=True)
class _Queue:
    arrived: asyncio.Queue[Any]
    channel: Any
    extend_s: float = 3600.0
    # RabbitMQ closes channels that leave a message unacknowledged for 30 minutes.
    longest_s: float = 1500.0

    async def receive(self, most: int) -> list[Message]:
        if self.channel.is_closed:
            raise ConnectionError("channel closed")
        found: list[Message] = []
        with contextlib.suppress(TimeoutError):
            found.append(_Message(await asyncio.wait_for(self.arrived.get(), 1.0)))
        while len(found) < most and not self.arrived.empty():
            found.append(_Message(self.arrived.get_nowait()))
        return found


@contextlib.asynccontextmanager
async def opened(settings: AmqpQueue) -> AsyncIterator[Queue]:
    """Connection to a queue."""
    try:
        import aio_pika  # noqa: PLC0415  # an extra
        from yarl import URL  # noqa: PLC0415  # comes with it
    except ImportError as error:
        raise not_installed("amqp", error) from error
    url = URL(settings.url)
    if settings.password_file:
        url = url.with_password(read_secret(settings.password_file))
    connection = await aio_pika.connect(url, client_properties={"connection_name": "s2cloud"})
    async with connection:
        channel = await connection.channel()
        try:
            queue = await channel.declare_queue(settings.queue, passive=True)
        except aio_pika.exceptions.ChannelNotFoundEntity:
            channel = await connection.channel()
            queue = await channel.declare_queue(settings.queue, durable=True)
        # As many again as are held: repeats of held products pass while those wait.
        await channel.set_qos(prefetch_count=2 * settings.hold)
        arrived: asyncio.Queue[Any] = asyncio.Queue()
        await queue.consume(arrived.put)
        yield _Queue(arrived, channel)
