"""Stores and catalogues that send no events are asked now and then."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn

from s2cloud.io.inputs import find_l1c, search_l1c
from s2cloud.io.stores import open_store
from s2cloud.io.urls import join_url
from s2cloud.model.errors import S2CloudError
from s2cloud.model.granule import PRODUCT_NAME
from s2cloud.service.notifications import Found
from s2cloud.service.products import normal, source_of
from s2cloud.service.settings import BucketPoll

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s2cloud.io.stores import Store
    from s2cloud.service.intake import Intake
    from s2cloud.service.settings import Settings, StacPoll

__all__ = ["poll", "products_below", "products_of_search"]

logger = logging.getLogger(__name__)

#: Folders above a product: year, month, day, and some more.
_DEPTH: Final = 8
#: Products that are known to have ended and are not asked about again.
_REMEMBERED: Final = 100_000
_ENDED: Final = frozenset({"done", "refused", "cancelled"})


async def poll(settings: BucketPoll | StacPoll, service: Settings, intake: Intake) -> NoReturn:
    """Ask again and again until cancelled.

    Parameters
    ----------
    settings
        What to ask.
    service
        Settings of the service, for the options of the store.
    intake
        Records the jobs.
    """
    over: OrderedDict[str, None] = OrderedDict()

    def once() -> None:
        addresses = (
            products_below(settings.url, service)
            if isinstance(settings, BucketPoll)
            else products_of_search(settings)
        )
        whole = not isinstance(settings, BucketPoll)
        for address in addresses:
            if address in over:
                continue
            taken = intake.take([Found(address, whole=whole)])
            if taken.jobs and set(taken.jobs.values()) <= _ENDED:
                over[address] = None
                while len(over) > _REMEMBERED:
                    over.popitem(last=False)

    while True:
        try:
            await asyncio.to_thread(once)
        except S2CloudError as error:
            logger.warning("poll: %s", error)
        except Exception as error:  # noqa: BLE001  # of the client of the API
            logger.warning("poll: %s", type(error).__name__)
        await asyncio.sleep(settings.every_seconds)


def products_below(url: str, settings: Settings) -> Iterator[str]:
    """Addresses of the Level-1C products below a prefix, without looking into them.

    Parameters
    ----------
    url
        Prefix, in one of the sources.
    settings
        Of the service.
    """
    number = source_of(normal(url), settings.sources)
    yield from _walk(open_store(url, settings.sources[number].options), "", _DEPTH)


def _walk(store: Store, path: str, depth: int) -> Iterator[str]:
    for name in store.listdir(path):
        inner = f"{path}/{name}".lstrip("/")
        found = PRODUCT_NAME.match(name)
        if found is not None:
            if found["level"] == "L1C":
                yield join_url(store.uri, inner)
        elif name == "tileInfo.json":
            yield join_url(store.uri, path)
        elif depth > 0 and "." not in name:
            yield from _walk(store, inner, depth - 1)


def products_of_search(settings: StacPoll) -> Iterator[str]:
    """Addresses of the products that a STAC API has found lately.

    Parameters
    ----------
    settings
        Of the poll.
    """
    query: dict[str, Any] = dict(settings.query)
    if "datetime" not in query:
        since = datetime.now(UTC) - timedelta(days=settings.days)
        query["datetime"] = f"{since:%Y-%m-%dT%H:%M:%SZ}/.."
    yield from find_l1c(search_l1c(settings.stac, **query))
