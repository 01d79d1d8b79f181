"""Streams of Redis with a consumer group."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from s2cloud.service.queues.model import not_installed
from s2cloud.service.settings import read_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from s2cloud.service.queue_settings import RedisQueue
    from s2cloud.service.queues.model import Message, Queue


@dataclass(slots=True)
class _Message:
    queue: _Queue
    number: bytes
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    async def acknowledge(self) -> None:
        settings = self.queue.settings
        await self.queue.client.xack(settings.stream, settings.group, self.number)

    async def extend(self) -> None:
        await self._claimed_for(0)

    async def hand_back(self) -> None:
        # Idle already: the next that looks for forgotten messages takes it.
        await self._claimed_for(int(self.queue.settings.idle_seconds * 1000))

    async def _claimed_for(self, idle_ms: int) -> None:
        settings = self.queue.settings
        await self.queue.client.xclaim(
            settings.stream,
            settings.group,
            self.queue.name,
            0,
            [self.number],
            idle=idle_ms,
            justid=True,
        )


@dataclass(slots=True)
class _Queue:
    client: Any
    settings: RedisQueue
    name: str
    longest_s: float = float("inf")

    @property
    def extend_s(self) -> float:
        return self.settings.idle_seconds / 3

    async def receive(self, most: int) -> list[Message]:
        settings = self.settings
        claimed = await self.client.xautoclaim(
            settings.stream,
            settings.group,
            self.name,
            min_idle_time=int(settings.idle_seconds * 1000),
            count=most,
        )
        entries = list(claimed[1])
        if len(entries) < most:
            news = await self.client.xreadgroup(
                settings.group,
                self.name,
                {settings.stream: ">"},
                count=most - len(entries),
                block=1 if entries else 1000,
            )
            # A list of pairs, or a dict, by the version of the protocol.
            streams = news.items() if isinstance(news, dict) else news or []
            for _, found in streams:
                entries += found[0] if found and isinstance(found[0], list) else found
        return [_Message(self, number, _body(values)) for number, values in entries if values]


def _body(values: dict[bytes, bytes]) -> bytes:
    """The field that holds the event, whatever the sender called it."""
    for name in (b"event", b"body", b"data", b"message", b"value"):
        if name in values:
            return bytes(values[name])
    return bytes(next(iter(values.values())))


@contextlib.asynccontextmanager
async def opened(settings: RedisQueue) -> AsyncIterator[Queue]:
    """Connection to a stream."""
    try:
        from redis import asyncio as redis  # noqa: PLC0415  # an extra
        from redis.exceptions import ResponseError  # noqa: PLC0415
    except ImportError as error:
        raise not_installed("redis", error) from error
    options: dict[str, Any] = {}
    if settings.password_file:
        options["password"] = read_secret(settings.password_file)
    client = redis.Redis.from_url(settings.url, **options)
    try:
        try:
            await client.xgroup_create(settings.stream, settings.group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        yield _Queue(client, settings, f"{socket.gethostname()}-{os.getpid()}")
    finally:
        await client.aclose()
