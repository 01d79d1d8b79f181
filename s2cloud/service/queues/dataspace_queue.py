"""Pull subscriptions of the Copernicus Data Space: a cursor that moves over all older entries."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp

from s2cloud.service.settings import read_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from s2cloud.service.queue_settings import DataspaceQueue
    from s2cloud.service.queues.model import Message, Queue

#: As many as one request gives.
_MOST: Final = 20


@dataclass(slots=True)
class _Message:
    queue: _Queue
    number: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    async def acknowledge(self) -> None:
        """Everything older is acknowledged with it; all of that was recorded before."""
        await self.queue.acknowledge(self.number)

    async def extend(self) -> None:
        """Nothing: messages are not held."""

    async def hand_back(self) -> None:
        raise ConnectionError("notification not taken")


@dataclass(slots=True)
class _Queue:
    session: aiohttp.ClientSession
    settings: DataspaceQueue
    extend_s: float = 0.0
    longest_s: float = 0.0
    _token: str = ""
    _until: float = 0.0
    _next: float = 0.0

    async def receive(self, most: int) -> list[Message]:
        wait = self._next - time.monotonic()
        if wait > 0:
            await asyncio.sleep(min(1.0, wait))
            return []
        url = f"{self._subscription}/Read?$top={min(most, _MOST)}"
        async with self.session.get(url, headers=await self._headers()) as answer:
            answer.raise_for_status()
            values = await answer.json()
        entries = values.get("value", values) if isinstance(values, dict) else values
        if len(entries) < _MOST:
            self._next = time.monotonic() + self.settings.every_seconds
        return [
            _Message(self, str(each["AckId"]), json.dumps(each).encode())
            for each in entries
            if "AckId" in each
        ]

    async def acknowledge(self, number: str) -> None:
        url = f"{self._subscription}/Ack?$ackid={quote(number, safe='')}"
        async with self.session.post(url, headers=await self._headers()) as answer:
            answer.raise_for_status()

    @property
    def _subscription(self) -> str:
        number = quote(self.settings.subscription, safe="-")
        return f"{self.settings.url.rstrip('/')}/Subscriptions({number})"

    async def _headers(self) -> dict[str, str]:
        if time.monotonic() > self._until:
            form: dict[str, Any] = {
                "grant_type": "password",
                "client_id": "cdse-public",
                "username": self.settings.user,
                "password": read_secret(self.settings.password_file),
            }
            async with self.session.post(self.settings.token_url, data=form) as answer:
                answer.raise_for_status()
                values = await answer.json()
            self._token = str(values["access_token"])
            self._until = time.monotonic() + 0.8 * float(values.get("expires_in", 300))
        return {"Authorization": f"Bearer {self._token}"}


@contextlib.asynccontextmanager
async def opened(settings: DataspaceQueue) -> AsyncIterator[Queue]:
    """Connection to a subscription."""
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield _Queue(session, settings)
