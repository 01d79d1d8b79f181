"""Many products in one call: the front door of the scheduler."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from s2cloud.io.inputs import find_l1c
from s2cloud.io.stores import open_store
from s2cloud.io.urls import join_url, protocol_of
from s2cloud.model.errors import InputError, UnavailableError, UsageError
from s2cloud.model.granule import PRODUCT_NAME
from s2cloud.scheduling.batch import Batch
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.executors import executor_for
from s2cloud.scheduling.jobs import Job

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterator, Mapping

    from distributed import Client

    from s2cloud.scheduling.batch_events import OnEvent, Policy
    from s2cloud.scheduling.runfile import Entry

__all__ = ["BatchResult", "carry_out", "sources_of", "submit"]

logger = logging.getLogger(__name__)

#: How often a batch goes on with a new cluster after it has lost one.
RESTARTS: Final = 2


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of the products of a batch.

    Attributes
    ----------
    entries
        One per product, in the order given.
    stopped
        Whether the batch was stopped before all products had ended.
    """

    entries: tuple[Entry, ...]
    stopped: bool = False

    @property
    def failed(self) -> tuple[Entry, ...]:
        """Products that ended without being made."""
        return tuple(entry for entry in self.entries if entry.state == "failed")

    @property
    def destinations(self) -> tuple[str, ...]:
        """Addresses of the products that are there."""
        return tuple(entry.destination for entry in self.entries if entry.destination)


def submit(
    sources: Any,
    destination: str,
    *,
    kind: str = "threads",
    cluster_options: Mapping[str, Any] | None = None,
    policy: Policy | None = None,
    run_file: str = "",
    on_event: OnEvent | None = None,
    **job_options: Any,
) -> BatchResult:
    """Make the Level-2A products of many Level-1C products on one cluster.

    Parameters
    ----------
    sources
        Whatever `find_l1c` takes, and prefixes of buckets that hold products; several in a list.
    destination
        Folder or URL prefix; each product goes to a folder of its own below it.
    kind
        As in `cluster`: ``threads``, ``local``, an address, ``slurm``, ``kubernetes``, ...
    cluster_options
        Further arguments of `cluster`: ``workers``, ``threads``, ``memory``, ``options``.
    policy
        Strategy, bounds, tries.
    run_file
        Path or URL of a file that is read if it is there and kept up to date.
    on_event
        Told of everything that happens.
    **job_options
        As in `Job`: ``formats``, ``config``, ``bbox``, ``source_options``, ...

    Returns
    -------
    BatchResult
        Failures are in it; they raise nothing.

    Raises
    ------
    UsageError, InputError, UnavailableError
        If the batch as a whole cannot be carried out.

    Notes
    -----
    The receipts at the destination are the state of record. The same call may be made again, or
    in two places at once: products that are complete are found, and of two runs that write the
    same product one commits it.

    Examples
    --------
    >>> result = submit("tiles.txt", "s3://bucket/l2a", kind="local")  # doctest: +SKIP
    >>> [entry.causes[-1] for entry in result.failed]  # doctest: +SKIP
    """
    options = dict(job_options.get("source_options", {}))
    jobs = [Job(source, destination, **job_options) for source in sources_of(sources, options)]
    batch = Batch(
        jobs,
        policy,
        run_file=run_file,
        storage_options=job_options.get("destination_options"),
        on_event=on_event,
    )
    return carry_out(batch, lambda: cluster(kind, **dict(cluster_options or {})))


def carry_out(
    batch: Batch,
    opened: Callable[[], contextlib.AbstractContextManager[Client | None]],
    *,
    restarts: int = RESTARTS,
) -> BatchResult:
    """Carry out a batch, on a new cluster if one is lost.

    Parameters
    ----------
    batch
        What to do.
    opened
        Makes the context manager of a cluster, as `cluster` does.
    restarts
        How often.
    """
    for remaining in range(restarts, -1, -1):
        try:
            with opened() as client, _executor(batch, client) as executor:
                entries = batch.run(executor)
            return BatchResult(tuple(entries), stopped=not all(e.ended for e in entries))
        except UnavailableError as error:
            if not remaining or batch.stopping:
                raise
            logger.warning("%s; going on with a new cluster", error)
    raise AssertionError  # the loop returns or raises


def _executor(batch: Batch, client: Client | None) -> contextlib.AbstractContextManager[Any]:
    return executor_for(client, two_level=batch.policy.limits.two_level)


def sources_of(sources: Any, storage_options: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Addresses of products from lists, documents, searches and prefixes of buckets.

    Parameters
    ----------
    sources
        As in `submit`.
    storage_options
        Options of their file system.

    Raises
    ------
    InputError
        If a folder holds no product.
    """
    seen: set[str] = set()
    many = isinstance(sources, list | tuple)
    for source in sources if many else [sources]:
        for found in find_l1c(source, storage_options=storage_options):
            for address in _below(found, storage_options):
                if address not in seen:
                    seen.add(address)
                    yield address


def _below(address: Any, storage_options: Mapping[str, Any] | None) -> Iterator[str]:
    """The address itself if it is a product, else the products in the folder."""
    if not isinstance(address, str | os.PathLike):
        raise UsageError("not an address", found=type(address).__name__, expected="path or URL")
    text = os.fspath(address)
    name = text.rstrip("/").rsplit("/", 1)[-1]
    looks_like_one = PRODUCT_NAME.search(name) or name.lower().endswith((".safe", ".zarr", ".zip"))
    if looks_like_one or not text.endswith("/") or protocol_of(text) in {"http", "https"}:
        yield text
        return
    names = open_store(text, storage_options).listdir()
    products = [each for each in names if _is_product(each)]
    if not products:
        raise InputError(
            "no product in the folder",
            where=text,
            expected="names such as S2A_MSIL1C_20250615T101559_N0511_R022_T32TQM_...SAFE",
            found=f"{len(names)} other names",
            fix="name the folder that holds the products; without a slash at its end an address "
            "is taken for a product",
        )
    for each in products:
        yield join_url(text, each)


def _is_product(name: str) -> bool:
    found = PRODUCT_NAME.search(name)
    return found is not None and found["level"] == "L1C" and not name.endswith(".truth.zarr")
