"""Kafka: offsets are committed when jobs are recorded, for they cannot be committed one by one."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s2cloud.service.queues.model import not_installed
from s2cloud.service.settings import read_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from s2cloud.service.queue_settings import KafkaQueue
    from s2cloud.service.queues.model import Message, Queue


@dataclass(slots=True)
class _Message:
    consumer: Any
    record: Any

    @property
    def body(self) -> bytes:
        return bytes(self.record.value or b"null")

    @property
    def headers(self) -> dict[str, str]:
        return {name: value.decode("utf-8", "replace") for name, value in self.record.headers}

    async def acknowledge(self) -> None:
        from aiokafka import TopicPartition  # noqa: PLC0415  # an extra

        partition = TopicPartition(self.record.topic, self.record.partition)
        await self.consumer.commit({partition: self.record.offset + 1})

    async def extend(self) -> None:
        """Nothing: messages are not held."""

    async def hand_back(self) -> None:
        # A new connection begins behind the last commit.
        raise ConnectionError("record not taken")


@dataclass(slots=True)
class _Queue:
    consumer: Any
    extend_s: float = 0.0
    longest_s: float = 0.0

    async def receive(self, most: int) -> list[Message]:
        found = await self.consumer.getmany(timeout_ms=1000, max_records=most)
        return [_Message(self.consumer, each) for some in found.values() for each in some]


@contextlib.asynccontextmanager
async def opened(settings: KafkaQueue) -> AsyncIterator[Queue]:
    """Connection to a topic."""
    try:
        from aiokafka import AIOKafkaConsumer  # noqa: PLC0415  # an extra
        from aiokafka.helpers import create_ssl_context  # noqa: PLC0415
    except ImportError as error:
        raise not_installed("kafka", error) from error
    options: dict[str, Any] = {}
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = create_ssl_context()
    if settings.user and settings.password_file:
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.user,
            "sasl_plain_password": read_secret(settings.password_file),
        }
    consumer = AIOKafkaConsumer(
        settings.topic,
        bootstrap_servers=list(settings.servers),
        group_id=settings.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        security_protocol=settings.security_protocol,
        **options,
    )
    try:
        await consumer.start()
        yield _Queue(consumer)
    finally:
        await consumer.stop()
