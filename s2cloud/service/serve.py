"""The service put together: port, queues, polls and dispatcher, from start to SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NoReturn

from s2cloud.model.errors import S2CloudError
from s2cloud.service.announcements import Announcer
from s2cloud.service.dispatcher import Dispatcher
from s2cloud.service.intake import Intake
from s2cloud.service.metrics import ServiceMetrics
from s2cloud.service.page import JobTable
from s2cloud.service.polling import poll
from s2cloud.service.queues import consume
from s2cloud.service.records import records_of
from s2cloud.service.runner import ClusterMaker
from s2cloud.service.server import Port

if TYPE_CHECKING:
    from collections.abc import Callable

    from s2cloud.service.runner import ProductMaker
    from s2cloud.service.settings import Settings

__all__ = ["Service", "serve"]

logger = logging.getLogger(__name__)

#: Between two looks at records that are old. [s]
ORDER_S: Final = 6 * 3600.0


class Service:
    """Everything one process does.

    Parameters
    ----------
    settings
        Of the service.
    make
        Makes products; on the cluster of the settings by default.
    """

    def __init__(self, settings: Settings, make: ProductMaker | None = None) -> None:
        self.settings = settings
        self.records = records_of(settings)
        self.make = make or ClusterMaker(settings.cluster)
        announcer = Announcer(settings.announce) if settings.announce else None
        self.dispatcher = Dispatcher(settings, self.records, self.make, on_end=announcer)
        self.intake = Intake(
            settings, self.records, self.dispatcher.heard, self.dispatcher.stays_open
        )
        metrics = ServiceMetrics(self.dispatcher, self.intake, self.make)
        table = JobTable(self.records, self.dispatcher, settings)
        self.port = Port(settings, self.intake, self.dispatcher, metrics, table)

    async def run(self, started: Callable[[str], None] | None = None) -> None:
        """Serve until `stop` is called; products that run may end then.

        Parameters
        ----------
        started
            Called with the address of the port once it is open.
        """
        loop = threading.Thread(target=self.dispatcher.run, name="dispatcher", daemon=True)
        await self.port.open()
        loop.start()
        feeds = [
            asyncio.create_task(consume(queue, self.intake, self.dispatcher))
            for queue in self.settings.queues
        ]
        feeds += [
            asyncio.create_task(poll(each, self.settings, self.intake))
            for each in self.settings.polls
        ]
        feeds.append(asyncio.create_task(self._keep_order()))
        if started is not None:
            started(self.port.url)
        try:
            await asyncio.to_thread(self.dispatcher.stopped.wait)
        finally:
            self.dispatcher.stop()
            for feed in feeds:
                feed.cancel()
            await asyncio.gather(*feeds, return_exceptions=True)
            await asyncio.to_thread(loop.join, self.settings.jobs.drain_seconds + 30.0)
            await self.port.close()

    async def _keep_order(self) -> NoReturn:
        """Remove what is older than the settings say; any process may, and all do."""
        while True:
            before = datetime.now(UTC).date() - timedelta(days=self.settings.jobs.keep_days)
            try:
                count = await asyncio.to_thread(self.records.forget, before)
            except S2CloudError as error:
                logger.warning("old records not removed: %s", error)
            else:
                if count:
                    logger.info("records of %d days before %s removed", count, before)
            await asyncio.sleep(ORDER_S)

    def stop(self) -> None:
        """Take no more events, let products end, return from `run`."""
        if not self.dispatcher.stopping:
            logger.warning("told to stop: running products may end, nothing more is started")
        self.dispatcher.stop()


def serve(
    settings: Settings,
    *,
    make: ProductMaker | None = None,
    started: Callable[[str], None] | None = None,
) -> None:
    """Turn events into products until SIGTERM or SIGINT.

    Parameters
    ----------
    settings
        Of the service.
    make
        Makes products; on the cluster of the settings by default.
    started
        Called with the address of the port once it is open.

    Raises
    ------
    UsageError
        If a setting does not work out: a file of secrets that is not there, a library that is
        not installed.
    """

    async def main() -> None:
        service = Service(settings, make)
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(each, service.stop)
        await service.run(started)

    asyncio.run(main())
