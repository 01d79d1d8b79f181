"""Where the work is done: one context manager for threads, machines, batch systems and clouds."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from typing import TYPE_CHECKING, Any, Final

import dask
from dask.system import CPU_COUNT

from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from distributed import Client

__all__ = ["CLUSTER_KINDS", "cluster", "settled"]

logger = logging.getLogger(__name__)

#: Words for kinds of clusters; an address such as ``tcp://host:8786`` is one, too.
CLUSTER_KINDS: Final = (
    "threads",
    "none",
    "local",
    "slurm",
    "slurm-runner",
    "kubernetes",
    "gateway",
)
_SCHEMES: Final = ("tcp://", "tls://", "ws://", "wss://", "ucx://", "inproc://")

#: Longest time that a task whose result nobody wants any more is waited for. [s]
SETTLE_S: Final = 60.0
#: Part of the free memory that workers may plan with; the rest is for the client and the system.
MEMORY_SHARE: Final = 0.9


@contextlib.contextmanager
def cluster(
    kind: str = "threads",
    *,
    workers: int | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
    options: Mapping[str, Any] | None = None,
    n_workers: int | None = None,
) -> Iterator[Client | None]:
    """Set up the place of work for the ``with`` block and clear it away afterwards.

    Parameters
    ----------
    kind
        ``threads`` (or ``none``) of this process; ``local`` for worker processes on this machine;
        the address of a scheduler that runs; ``slurm`` for jobs of SLURM that this process asks
        for, ``slurm-runner`` inside of one job step that runs this program many times;
        ``kubernetes`` through the dask operator; ``gateway`` for dask-gateway.
    workers
        Number of worker processes, or of threads (``threads``); the number of CPUs this process
        may use by default, 1 where workers are asked for from elsewhere.
    threads
        Threads per worker process, 1 by default.
    memory
        Limit of each worker such as ``8GiB``; an equal share of what is free for ``local``,
        ``8GiB`` where workers are asked for from elsewhere.
    options
        More for the library behind the kind: of ``dask_jobqueue.SLURMCluster`` (``queue``,
        ``account``, ``walltime``, ``interface``), of ``dask_kubernetes.operator.KubeCluster``
        (``image``, ``namespace``, ``env``), of dask-gateway (``address``, ``auth``, and options
        of its clusters), of ``distributed.Security`` (``tls_ca_file``, ``tls_client_cert``,
        ``tls_client_key``) for an address. ``allow_skew=True`` accepts other versions.
    n_workers
        The same as `workers`, as dask's own clusters call it.

    Yields
    ------
    distributed.Client or None
        The client, made the default for dask computations; None for threads.

    Raises
    ------
    UsageError
        If the kind is unknown, a number is not positive, a library is not installed, or the
        versions of client, scheduler and workers do not go together.
    UnavailableError
        If the cluster does not answer.

    Examples
    --------
    >>> with cluster("threads", workers=2) as client:
    ...     print(client)
    None
    """
    if kind not in CLUSTER_KINDS and not kind.startswith(_SCHEMES):
        expected = f"{', '.join(CLUSTER_KINDS)} or tcp://HOST:PORT"
        raise UsageError(
            "unknown cluster", expected=expected, found=kind, fix="choose one of these"
        )
    workers = workers if n_workers is None else n_workers
    for word, number in (("workers", workers), ("threads", threads)):
        if number is not None and number < 1:
            raise UsageError(f"number of {word} is not positive", expected=">= 1", found=number)
    if kind in {"none", "threads"}:
        count = (workers or CPU_COUNT) * (threads or 1)
        with dask.config.set(scheduler="threads", num_workers=count):
            yield None
    elif kind == "local":
        with _local_cluster(workers or CPU_COUNT, threads or 1, memory) as client:
            yield client
    else:
        from s2cloud.scheduling.remote import Wish, remote_cluster  # noqa: PLC0415  # optional

        wish = Wish(workers or 1, threads or 1, str(memory or "8GiB"), dict(options or {}))
        with remote_cluster(kind, wish) as client:
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
def _local_cluster(workers: int, threads: int, memory: str | int | None) -> Iterator[Client]:
    from distributed import Client, LocalCluster  # noqa: PLC0415  # half a second, not for threads

    with (
        tempfile.TemporaryDirectory(prefix="s2cloud-", ignore_cleanup_errors=True) as scratch,
        LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            host="127.0.0.1",
            memory_limit=memory or worker_memory_bytes(workers),
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
