"""Where the work is done: threads of this process, or a cluster of processes on this machine."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import dask
from dask.system import CPU_COUNT

from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

__all__ = ["CLUSTER_KINDS", "ClusterKind", "cluster", "settled"]

logger = logging.getLogger(__name__)

ClusterKind = Literal["none", "local"]
CLUSTER_KINDS: Final[tuple[ClusterKind, ...]] = get_args(ClusterKind)

#: Longest time that a task whose result nobody wants any more is waited for. [s]
SETTLE_S: Final = 60.0
#: Part of the free memory that workers may plan with; the rest is for the client and the system.
MEMORY_SHARE: Final = 0.9


@contextlib.contextmanager
def cluster(
    kind: ClusterKind = "none", *, workers: int | None = None, threads: int | None = None
) -> Iterator[Client | None]:
    """Set up the place of work for the ``with`` block and clear it away afterwards.

    Parameters
    ----------
    kind
        ``none`` for threads of this process, ``local`` for a dask cluster of worker processes
        on this machine.
    workers
        Number of worker processes (``local``) or of threads (``none``); the number of CPUs
        this process may use by default.
    threads
        Threads per worker process, 1 by default.

    Yields
    ------
    distributed.Client or None
        The client, made the default for dask computations; None for threads.

    Raises
    ------
    UsageError
        If the kind is unknown or a number is not positive.

    Examples
    --------
    >>> with cluster("none", workers=2) as client:
    ...     print(client)
    None
    """
    if kind not in CLUSTER_KINDS:
        raise UsageError("unknown cluster", expected=" or ".join(CLUSTER_KINDS), found=kind)
    for word, number in (("workers", workers), ("threads", threads)):
        if number is not None and number < 1:
            raise UsageError(f"number of {word} is not positive", expected=">= 1", found=number)
    if kind == "none":
        count = (workers or CPU_COUNT) * (threads or 1)
        with dask.config.set(scheduler="threads", num_workers=count):
            yield None
    else:
        with _local_cluster(workers or CPU_COUNT, threads or 1) as client:
            yield client


def worker_memory_bytes(workers: int) -> int:
    """Memory that one of ``workers`` processes may use, in bytes.

    Counts what is free now and what the control group allows, whichever is less.
    """
    import psutil  # type: ignore[import-untyped]  # noqa: PLC0415  # comes with distributed
    from distributed.system import MEMORY_LIMIT  # noqa: PLC0415  # half a second, not for threads

    free = min(int(psutil.virtual_memory().available), int(MEMORY_LIMIT))
    return int(free * MEMORY_SHARE / workers)


@contextlib.contextmanager
def _local_cluster(workers: int, threads: int) -> Iterator[Client]:
    from distributed import Client, LocalCluster  # noqa: PLC0415  # half a second, not for threads

    with (
        tempfile.TemporaryDirectory(prefix="s2cloud-", ignore_cleanup_errors=True) as scratch,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            host="127.0.0.1",
            memory_limit=worker_memory_bytes(workers),
            # Without an address the scheduler would try to serve on the default port, and warn
            # if a second cluster runs on this machine.
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.CRITICAL,  # errors reach the client; workers repeat them
            local_directory=scratch,
        ) as local,
        Client(local) as client,
    ):
        yield client


def settled(client: Client) -> None:
    """Wait until no worker runs a task any more.

    A failed computation drops the tasks that wait, but those that run cannot be stopped: each
    would still write its file after everything else was cleared away.

    Parameters
    ----------
    client
        Client of the cluster.
    """
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        if not any(client.run(_running).values()):
            return
        time.sleep(0.1)
    logger.warning("tasks still run %g s after the failure; they may leave files behind", SETTLE_S)


def _running(dask_worker: Any) -> int:
    return len(dask_worker.state.executing)
