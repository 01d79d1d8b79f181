"""A product as one task: opened here, its blocks computed wherever there is room."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from s2cloud.scheduling.jobs import Job, run_job
from s2cloud.scheduling.ledger import of_product, product_settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Made", "Maker", "make_on_worker", "make_product"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a product left besides its files.

    Attributes
    ----------
    key
        Of the job.
    destination
        Address of the product.
    seconds
        Wall time. [s]
    serial_s
        Part of it outside of the tasks: opening, building the graph, the commit. [s]
    bytes_written
        [byte]
    found
        Whether it was there already.
    worker
        Where it was coordinated, empty for this process.
    """

    key: str
    destination: str
    seconds: float = 0.0
    serial_s: float = 0.0
    bytes_written: int = 0
    found: bool = False
    worker: str = ""


class Maker(Protocol):
    """What makes the product of a job in the place where it is called."""

    def __call__(self, job: Job, *, settle: Callable[[], None] | None = None) -> Made:
        """Make it, or find it made."""
        ...


def make_product(job: Job, *, settle: Callable[[], None] | None = None) -> Made:
    """Make the product of a job with dask's current scheduler.

    Parameters
    ----------
    job
        What to do.
    settle
        Waits for the tasks of a failed product.
    """
    began = time.perf_counter()
    started = datetime.now(UTC)
    receipt = run_job(job, settle=settle)
    seconds = time.perf_counter() - began
    found = datetime.fromisoformat(receipt.created) < started - timedelta(seconds=1)
    computed = 0.0 if found else float(receipt.timings.get("compute_s", 0.0))
    return Made(
        key=job.key,
        destination=receipt.destination,
        seconds=seconds,
        serial_s=max(0.0, seconds - computed),
        bytes_written=receipt.size,
        found=found,
    )


def make_on_worker(
    job: Job, homes: tuple[str, ...], urgency: float, *, mark: str, two_level: bool, make: Maker
) -> Made:
    """Make a product from a task of a dask worker.

    Its block tasks go to the same scheduler as those of all other products. They belong to the
    home workers, where the data stay once decoded; workers that are idle may take some.

    Parameters
    ----------
    job
        What to do.
    homes
        Addresses of the workers the product is at home on; empty for all.
    urgency
        Priority of the block tasks.
    mark
        Name of this try in the books.
    two_level
        Whether other workers may help; without it this worker does everything.
    make
        Usually `make_product`.
    """
    from dataclasses import replace  # noqa: PLC0415

    from distributed import get_worker, worker_client  # noqa: PLC0415  # on workers only

    here = str(get_worker().address)
    annotations: dict[str, Any] = {}
    if urgency:
        annotations["priority"] = urgency
    if not two_level:
        annotations |= {"workers": [here], "allow_other_workers": False}
    elif homes:
        annotations |= {"workers": list(homes), "allow_other_workers": True}
    with worker_client() as client, _named(job), of_product(mark, **annotations):
        return replace(make(job, settle=partial(product_settled, client, mark)), worker=here)


@contextlib.contextmanager
def _named(job: Job) -> Iterator[None]:
    """Say when a product begins and ends on a worker."""
    logger.info("product starts", extra={"job": job.key, "source": job.source})
    yield
    logger.info("product ends", extra={"job": job.key, "source": job.source})
