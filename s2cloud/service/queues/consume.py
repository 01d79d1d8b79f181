"""The one loop for all queues: take, record, hold until the product has ended, acknowledge."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

from s2cloud.model.errors import InputError, S2CloudError, UsageError
from s2cloud.service.events import parse_message

if TYPE_CHECKING:
    from s2cloud.service.dispatcher import Dispatcher
    from s2cloud.service.intake import Intake
    from s2cloud.service.queue_settings import QueueSettings
    from s2cloud.service.queues.model import Message, Queue

__all__ = ["consume"]

logger = logging.getLogger(__name__)

#: Before a connection is tried again, doubled up to the longest. [s]
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0


@dataclass(slots=True)
class _Held:
    """A message whose products have not ended."""

    message: Message
    jobs: set[str]
    since: float
    extended: float
    listing: int


@dataclass(slots=True)
class _Reader:
    queue: Queue
    hold: int
    intake: Intake
    dispatcher: Dispatcher
    held: dict[int, _Held] = field(default_factory=dict)
    carried: set[str] = field(default_factory=set)

    async def turn(self) -> None:
        """Acknowledge what has ended, extend what has not, take what is new."""
        await self._look_after()
        room = self.hold - len(self.held)
        if room <= 0:
            await asyncio.sleep(0.2)
            return
        for message in await self.queue.receive(room):
            await self._take(message)

    async def _take(self, message: Message) -> None:
        try:
            arrival = parse_message(message.body, message.headers)
        except InputError as error:
            # It would come back for ever: kept with the reason where people find it.
            self.intake.counts["unreadable"] += 1
            logger.error("message put aside: %s", error)  # noqa: TRY400
            await asyncio.to_thread(self.intake.put_aside, message.body, str(error))
            await message.acknowledge()
            return
        try:
            taken = await asyncio.to_thread(self.intake.take, arrival.found)
        except S2CloudError as error:
            logger.warning("event not recorded: %s", error)
            await message.hand_back()
            return
        still_open = {job for job, state in taken.jobs.items() if state in {"new", "open"}}
        # One message per product is enough to hold: it comes again if we die.
        news = still_open - self.carried
        if not news or not self.queue.extend_s:
            await message.acknowledge()
            return
        now = time.monotonic()
        self.carried |= news
        listing = self.dispatcher.listings
        self.held[id(message)] = _Held(message, news, now, now, listing)

    async def _look_after(self) -> None:
        now = time.monotonic()
        for key, held in list(self.held.items()):
            # Two listings later it was seen, if it was open still.
            listed = self.dispatcher.listings >= held.listing + 2
            if listed and not any(self.dispatcher.is_open(job) for job in held.jobs):
                await held.message.acknowledge()
            elif now - held.since > self.queue.longest_s:
                # The job is recorded; the broker would take the message for lost.
                await held.message.acknowledge()
            elif now - held.extended > self.queue.extend_s:
                await held.message.extend()
                held.extended = now
                continue
            else:
                continue
            self.carried -= held.jobs
            del self.held[key]


async def consume(settings: QueueSettings, intake: Intake, dispatcher: Dispatcher) -> NoReturn:
    """Read a queue until cancelled; connections that break are made again.

    Parameters
    ----------
    settings
        Of the queue.
    intake
        Records the jobs.
    dispatcher
        Knows which have ended.
    """
    opened: Any = import_module(f"s2cloud.service.queues.{settings.kind}_queue").opened
    wait = FIRST_WAIT_S
    while True:
        try:
            async with opened(settings) as queue:
                reader = _Reader(queue, settings.hold, intake, dispatcher)
                logger.info("reading events from a queue of kind %s", settings.kind)
                while True:
                    await reader.turn()
                    wait = FIRST_WAIT_S
        except UsageError as error:
            logger.error("queue of kind %s: %s", settings.kind, error)  # noqa: TRY400
            wait = LONGEST_WAIT_S
        except Exception as error:  # every client has its own
            # Only its kind: addresses in messages of clients may hold passwords.
            logger.warning("queue of kind %s: %s", settings.kind, type(error).__name__)
            logger.debug("queue", exc_info=True)
        await asyncio.sleep(wait)
        wait = min(LONGEST_WAIT_S, 2 * wait)
