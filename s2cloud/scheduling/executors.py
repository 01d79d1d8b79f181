"""Two places for the products of a batch: threads of this process, or a dask cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import dask
import dask.threaded
from typing_extensions import override

from s2cloud.model.errors import UnavailableError
from s2cloud.scheduling.cluster import worker_memory_bytes
from s2cloud.scheduling.ledger import ClusterFacts, ThreadLedger, WorkerFacts, facts_of, of_product
from s2cloud.scheduling.products import Made, Maker, make_on_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from distributed import Client

    from s2cloud.scheduling.admission import Admission
    from s2cloud.scheduling.jobs import Job

__all__ = ["Executor", "cluster_executor", "executor_for", "thread_executor"]

logger = logging.getLogger(__name__)

#: Told of the end of something: its result, or why there is none.
OnEnd = "Callable[[Any, BaseException | None], None]"
#: Most products whose coordinators share this process.
_COORDINATORS: Final = 64
#: A cluster is gone if its scheduler has been out of reach for so long, [s]
PATIENCE_S: Final = 10.0
#: or has not answered for so long. [s]
SLOW_S: Final = 120.0


class Executor(Protocol):
    """Where a batch is carried out."""

    def facts(self) -> ClusterFacts:
        """Workers and books now; raises UnavailableError if the cluster is gone."""
        ...

    def call(self, function: Callable[[Job], Any], job: Job, on_end: Any) -> None:
        """Run a small function on a job, such as its projection."""
        ...

    def make(self, job: Job, admission: Admission, mark: str, make: Maker, on_end: Any) -> None:
        """Start a product; the books count its tasks under the mark."""
        ...

    def forget(self, mark: str) -> None:
        """Close the books of a product that has ended and whose facts were read."""
        ...

    def abandon(self) -> None:
        """Drop what has not ended."""
        ...


class _Threads:
    def __init__(self, ledger: ThreadLedger, pool: ThreadPoolExecutor, threads: int) -> None:
        self._ledger = ledger
        self._pool = pool
        self._threads = threads
        self._memory = worker_memory_bytes(1)

    def facts(self) -> ClusterFacts:
        import psutil  # type: ignore[import-untyped]  # noqa: PLC0415  # comes with distributed

        used = int(psutil.Process(os.getpid()).memory_info().rss)
        here = WorkerFacts("threads", self._threads, self._memory, used)
        return self._ledger.facts(here)

    def call(self, function: Callable[[Job], Any], job: Job, on_end: Any) -> None:
        self._pool.submit(_told, on_end, function, job)

    def make(self, job: Job, admission: Admission, mark: str, make: Maker, on_end: Any) -> None:  # noqa: ARG002
        def run(job: Job) -> Made:
            with of_product(mark):
                return make(job)

        self._pool.submit(_told, on_end, run, job)

    def forget(self, mark: str) -> None:
        self._ledger.forget([mark])

    def abandon(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Pool(ThreadPoolExecutor):
    """Threads for block tasks that keep the books."""

    def __init__(self, threads: int, ledger: ThreadLedger) -> None:
        super().__init__(threads, "s2cloud-block")
        self._ledger = ledger

    @override
    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        return super().submit(self._ledger.timed(fn, *args, **kwargs))


def _told(on_end: Any, function: Callable[[Job], Any], job: Job) -> None:
    try:
        result = function(job)
    except BaseException as error:  # noqa: BLE001  # told, not lost
        on_end(None, error)
    else:
        on_end(result, None)


@contextlib.contextmanager
def thread_executor() -> Iterator[Executor]:
    """Products side by side in threads of this process.

    Their block tasks share one pool of as many threads as dask is set to; the coordinators, who
    wait most of the time, have threads of their own.
    """
    threads = int(dask.config.get("num_workers", None) or dask.system.CPU_COUNT)
    ledger = ThreadLedger()
    with (
        _Pool(threads, ledger) as blocks,
        ThreadPoolExecutor(_COORDINATORS, "s2cloud-product") as products,
        # Given by hand: hooks registered for all are taken away while one product computes.
        dask.config.set(
            scheduler=partial(dask.threaded.get, pool=blocks, callbacks=[ledger.hooks]),
            num_workers=threads,
        ),
    ):
        yield _Threads(ledger, products, threads)


class _Cluster:
    def __init__(self, client: Client, *, two_level: bool) -> None:
        self._client = client
        self._two_level = two_level
        self._futures: dict[int, Any] = {}
        self._marks: set[str] = set()
        self._settled: list[str] = []
        self._lock = threading.Lock()
        self._count = 0
        self._last = ClusterFacts((), {})
        self._answered = time.monotonic()

    def facts(self) -> ClusterFacts:
        try:
            with self._lock:
                settled = tuple(self._settled)
            self._last = facts_of(self._client, settled)
            with self._lock:
                del self._settled[: len(settled)]
            self._answered = time.monotonic()
        except Exception as error:
            # A scheduler under load may be slow, and a network short of breath.
            patience = SLOW_S if self._client.status == "running" else PATIENCE_S
            if time.monotonic() - self._answered < patience:
                return self._last
            raise UnavailableError(
                "the cluster is gone",
                where=str(self._client),
                found=f"{type(error).__name__}: {error}"[:200],
                fix="start it again with the same run file; what is committed stays",
            ) from error
        return self._last

    def call(self, function: Callable[[Job], Any], job: Job, on_end: Any) -> None:
        future = self._client.submit(
            function, job, key=self._key("project", job), pure=False, priority=1e6
        )
        self._watch(future, on_end)

    def make(self, job: Job, admission: Admission, mark: str, make: Maker, on_end: Any) -> None:
        with self._lock:
            self._marks.add(mark)
        future = self._client.submit(
            make_on_worker,
            job,
            self._homes(admission),
            admission.urgency,
            mark=mark,
            two_level=self._two_level,
            make=make,
            key=self._key("product", job),
            pure=False,
            workers=list(admission.workers),
            allow_other_workers=True,
            priority=admission.urgency,
        )
        self._watch(future, on_end)

    def forget(self, mark: str) -> None:
        with self._lock:
            self._marks.discard(mark)
            self._settled.append(mark)  # the scheduler is told at the next look

    def abandon(self) -> None:
        with self._lock:
            futures, self._futures = list(self._futures.values()), {}
            left, self._marks = [*self._settled, *self._marks], set()
            self._settled.clear()
        if self._client.status != "running":
            return
        with contextlib.suppress(Exception):
            if futures:
                self._client.cancel(futures, force=True)
            if left:
                facts_of(self._client, left)

    def _homes(self, admission: Admission) -> tuple[str, ...]:
        """Empty if it is all workers: dask then queues what need not lie around decoded."""
        everywhere = len(admission.workers) >= len(self._last.workers)
        return () if everywhere else admission.workers

    def _key(self, word: str, job: Job) -> str:
        with self._lock:
            self._count += 1
            return f"s2cloud-{word}-{job.key[:16]}-{id(self):x}-{self._count}"

    def _watch(self, future: Any, on_end: Any) -> None:
        mark = id(future)
        with self._lock:
            self._futures[mark] = future

        def ended(done: Any) -> None:
            with self._lock:
                self._futures.pop(mark, None)
            if self._client.status != "running":
                return  # not this product's fault; the loss of the cluster is told by `facts`
            try:
                result = done.result(timeout=30)
            except BaseException as error:  # noqa: BLE001  # cancelled futures raise oddly
                on_end(None, error)
            else:
                on_end(result, None)

        future.add_done_callback(ended)


@contextlib.contextmanager
def cluster_executor(client: Client, *, two_level: bool = True) -> Iterator[Executor]:
    """Products as tasks of a dask cluster, and their blocks as tasks beside them.

    Parameters
    ----------
    client
        Client of the cluster.
    two_level
        Whether workers help with the blocks of products that are at home elsewhere.
    """
    executor = _Cluster(client, two_level=two_level)
    try:
        yield executor
    finally:
        executor.abandon()


def executor_for(
    client: Client | None, *, two_level: bool = True
) -> contextlib.AbstractContextManager[Executor]:
    """Executor for what `cluster` yields."""
    return thread_executor() if client is None else cluster_executor(client, two_level=two_level)
