"""NATS JetStream: a durable pull consumer shared by all processes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s2cloud.service.queues.model import not_installed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from s2cloud.service.queue_settings import NatsQueue
    from s2cloud.service.queues.model import Message, Queue


@dataclass(slots=True)
class _Message:
    message: Any

    @property
    def body(self) -> bytes:
        return bytes(self.message.data)

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.message.headers or {})

    async def acknowledge(self) -> None:
        await self.message.ack()

    async def extend(self) -> None:
        await self.message.in_progress()

    async def hand_back(self) -> None:
        await self.message.nak(delay=5)


@dataclass(slots=True)
class _Queue:
    subscription: Any
    settings: NatsQueue
    longest_s: float = float("inf")

    @property
    def extend_s(self) -> float:
        return self.settings.ack_seconds / 3

    async def receive(self, most: int) -> list[Message]:
        try:
            found = await self.subscription.fetch(min(most, 100), timeout=1)
        except TimeoutError:
            return []
        return [_Message(each) for each in found]


@contextlib.asynccontextmanager
async def opened(settings: NatsQueue) -> AsyncIterator[Queue]:
    """Connection to a stream."""
    try:
        import nats  # noqa: PLC0415  # an extra
        from nats.js.api import ConsumerConfig  # noqa: PLC0415
    except ImportError as error:
        raise not_installed("nats", error) from error
    options: dict[str, Any] = {}
    if settings.credentials_file:
        options["user_credentials"] = settings.credentials_file
    client = await nats.connect(list(settings.servers), name="s2cloud", **options)
    try:
        subscription = await client.jetstream().pull_subscribe(
            settings.subject,
            durable=settings.consumer,
            stream=settings.stream,
            config=ConsumerConfig(ack_wait=settings.ack_seconds, max_ack_pending=10_000),
        )
        yield _Queue(subscription, settings)
    finally:
        await client.close()
