"""Amazon SQS: messages are hidden while they are worked on, and the time is extended."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from s2cloud.service.queue_settings import SqsQueue
    from s2cloud.service.queues.model import Message, Queue


@dataclass(slots=True)
class _Message:
    client: Any
    settings: SqsQueue
    receipt: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    async def acknowledge(self) -> None:
        await self.client.delete_message(QueueUrl=self.settings.url, ReceiptHandle=self.receipt)

    async def extend(self) -> None:
        await self._hidden_for(self.settings.visibility_seconds)

    async def hand_back(self) -> None:
        await self._hidden_for(0)

    async def _hidden_for(self, seconds: int) -> None:
        await self.client.change_message_visibility(
            QueueUrl=self.settings.url, ReceiptHandle=self.receipt, VisibilityTimeout=seconds
        )


@dataclass(slots=True)
class _Queue:
    client: Any
    settings: SqsQueue
    # Twelve hours is the most that SQS hides a message.
    longest_s: float = 11 * 3600.0

    @property
    def extend_s(self) -> float:
        return self.settings.visibility_seconds / 3

    async def receive(self, most: int) -> list[Message]:
        answer = await self.client.receive_message(
            QueueUrl=self.settings.url,
            MaxNumberOfMessages=min(10, most),
            WaitTimeSeconds=1,
            VisibilityTimeout=self.settings.visibility_seconds,
        )
        return [
            _Message(self.client, self.settings, each["ReceiptHandle"], each["Body"].encode())
            for each in answer.get("Messages", [])
        ]


@contextlib.asynccontextmanager
async def opened(settings: SqsQueue) -> AsyncIterator[Queue]:
    """Connection to a queue of SQS, with the credentials of the environment."""
    from aiobotocore.session import get_session  # noqa: PLC0415  # comes with s3fs

    async with get_session().create_client(
        "sqs", region_name=settings.region, endpoint_url=settings.endpoint_url
    ) as client:
        yield _Queue(client, settings)
