"""Products that are broken off while they are made: their next tasks do not begin."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import dask

from s2cloud.model.errors import UnavailableError
from s2cloud.scheduling.ledger import PRODUCT, current_product

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from distributed import Client

__all__ = ["break_off", "breakable_threads"]

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def breakable_threads(cancelled: Collection[str]) -> Iterator[None]:
    """Have dask's threads begin no task of a product whose key is among those cancelled.

    Parameters
    ----------
    cancelled
        Keys of jobs; looked at before every task.
    """

    def before(*_: Any) -> None:
        if current_product() in cancelled:
            raise UnavailableError("product is cancelled", where=current_product()[:12])

    chosen: Any = dask.config.get("scheduler")
    hooks = [*chosen.keywords["callbacks"], (None, None, before, None, None)]
    with dask.config.set(scheduler=partial(chosen, callbacks=hooks)):
        yield


def break_off(client: Client, key: str) -> None:
    """Cancel the tasks of a product on a cluster; whoever coordinates them fails and clears up.

    Parameters
    ----------
    client
        Of the cluster.
    key
        Of the job.
    """
    try:
        client.run_on_scheduler(_cancelled, product=key)
    except Exception as error:  # noqa: BLE001  # tried again while the product runs
        logger.debug("tasks not cancelled: %s", error)


def _cancelled(product: str, dask_scheduler: Any = None) -> None:
    for key, task in list(dask_scheduler.tasks.items()):
        mark = str((task.annotations or {}).get(PRODUCT, ""))
        if mark.partition(".")[0] == product and task.who_wants:
            client = next(iter(task.who_wants)).client_key
            dask_scheduler.stimulus_cancel(
                [key], client, force=True, reason="cancelled", msg="product is cancelled"
            )
