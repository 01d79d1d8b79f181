"""The books of a cluster: tasks, seconds and bytes of each product, kept where they are decided.

Tasks say which product they belong to by an annotation, so that the tasks of many products can
run mixed on one scheduler and still be counted apart.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import dask
from dask.callbacks import Callback
from dask.utils import key_split
from distributed.diagnostics.plugin import SchedulerPlugin
from typing_extensions import override

from s2cloud.scheduling.books import Books, ClusterFacts, ProductFacts, WorkerFacts
from s2cloud.scheduling.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from distributed import Client

__all__ = [
    "PRODUCT",
    "ClusterFacts",
    "Ledger",
    "ProductFacts",
    "ThreadLedger",
    "WorkerFacts",
    "facts_of",
    "of_product",
    "product_settled",
]

#: Annotation that names the product of a task.
PRODUCT: Final = "s2cloud_product"
_NAME: Final = "s2cloud-ledger"
#: Longest time that running tasks of a failed product are waited for. [s]
_SETTLE_S: Final = 60.0
#: Longest wait for an answer of the scheduler. [s]
_ANSWER_S: Final = 30.0

_current: contextvars.ContextVar[str] = contextvars.ContextVar("s2cloud_product", default="")


@contextlib.contextmanager
def of_product(key: str, **annotations: Any) -> Iterator[None]:
    """Mark everything that is computed inside the ``with`` block, in this thread, as a product's.

    Parameters
    ----------
    key
        Of the product, with a mark for the try after a full stop.
    **annotations
        More for dask: ``priority``, ``workers``, ``allow_other_workers``, ``resources``.
    """
    token = _current.set(key)
    try:
        with dask.annotate(**{PRODUCT: key}, **annotations):
            yield
    finally:
        _current.reset(token)


def current_product() -> str:
    """Key of the job that this thread works for, empty if none."""
    return _current.get().partition(".")[0]


class Ledger(SchedulerPlugin):  # type: ignore[misc]  # distributed carries no types
    """Counts in the scheduler of a cluster."""

    idempotent = True
    name = _NAME

    def __init__(self) -> None:
        self.books = Books()
        self._lanes = Lanes()
        self._ready: dict[Any, float] = {}

    @override
    async def start(self, scheduler: Any) -> None:
        self.scheduler = scheduler

    @override
    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        self._lanes.remove(worker)

    @override
    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        task = self.scheduler.tasks.get(key)
        product = task.annotations.get(PRODUCT) if task is not None and task.annotations else None
        if product is None:
            return
        if start == "released" and finish == "waiting":
            self.books.opened(product).total += 1
            self._ready[key] = time.time()
            return
        if finish in {"released", "forgotten"}:
            self._ready.pop(key, None)
        facts = self.books.products.get(product)
        if facts is None:
            return
        if finish == "released" and start in {"waiting", "queued", "no-worker", "processing"}:
            facts.total -= 1
            facts.retried += start == "processing"
        elif start == "processing" and finish in {"memory", "erred"}:
            facts.done += 1
            for span in kwargs.get("startstops") or ():
                if span["action"] == "compute":
                    facts.add(key_split(key), span["start"], span["stop"])
                    self._on_lane(facts, task, str(kwargs.get("worker")), span)

    def _on_lane(
        self, facts: ProductFacts, task: Any, address: str, span: Mapping[str, Any]
    ) -> None:
        """Count how long the thread of a task waited for it; the task is an input from now on."""
        worker = self.scheduler.workers.get(address)
        inputs = [self._ready.get(each.key, 0.0) for each in task.dependencies]
        ready = max(inputs, default=self._ready.get(task.key, span["start"]))
        if worker is not None:
            facts.dispatch_s += self._lanes.idle_before(
                address, worker.nthreads, span["start"], span["stop"], ready
            )
        self._ready[task.key] = span["stop"]


def facts_of(client: Client, forget: Collection[str] = ()) -> ClusterFacts:
    """Books and workers of a cluster; opens the books on first use.

    Parameters
    ----------
    client
        Client of the cluster.
    forget
        Products whose books are closed before.
    """
    found = _asked(client, forget)
    if found is None:
        client.register_plugin(Ledger(), name=_NAME)
        found = _asked(client, forget)
    return found or ClusterFacts((), {})


def _asked(client: Client, forget: Collection[str]) -> ClusterFacts | None:
    if client.status != "running":
        raise ConnectionError(f"client is {client.status}")
    # Not by run_on_scheduler, which waits minutes for a scheduler that is gone.
    found: ClusterFacts | None = client.sync(
        client._run_on_scheduler,  # noqa: SLF001
        _read,
        forget=list(forget),
        callback_timeout=_ANSWER_S,
    )
    return found


def _read(dask_scheduler: Any = None, *, forget: list[str]) -> ClusterFacts | None:
    ledger = dask_scheduler.plugins.get(_NAME)
    if ledger is None:
        return None
    ledger.books.forget(forget)
    workers = tuple(
        WorkerFacts(
            name=str(worker.address),
            threads=int(worker.nthreads),
            memory_limit=int(worker.memory_limit or 0),
            memory=int((worker.metrics or {}).get("memory", 0)),
            accepting=str(getattr(worker.status, "name", worker.status)) == "running",
        )
        for worker in dask_scheduler.workers.values()
    )
    return ClusterFacts(workers, dict(ledger.books.products), ledger.books.stages())


class ThreadLedger(Callback):  # type: ignore[misc]  # dask carries no types
    """The same books for dask's threads in this process."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._books = Books()

    @property
    def hooks(self) -> tuple[Any, ...]:
        """What dask's threads call, to be given to one computation."""
        return tuple(self._callback)

    # The underscored names are dask's protocol; they are called in the thread of the product.
    def _start_state(self, dsk: Any, state: Mapping[str, Any]) -> None:  # noqa: ARG002
        with self._lock:
            found = self._books.opened(_current.get())
            found.total += sum(len(state[name]) for name in ("ready", "waiting"))

    def _posttask(self, *_: Any) -> None:
        with self._lock:
            facts = self._books.products.get(_current.get())
            if facts is not None:
                facts.done += 1

    def timed(self, function: Any, batch: Any) -> Any:
        """What a thread of the pool should run in place of ``function(batch)``.

        Dask's own hooks are called when a task is handed to the pool, not when it begins.
        """
        product = _current.get()
        stage = key_split(batch[0][0])

        def run() -> Any:
            began = time.time()
            try:
                return function(batch)
            finally:
                with self._lock:
                    facts = self._books.products.get(product)
                    if facts is not None:
                        facts.add(stage, began, time.time())

        return run

    def forget(self, products: Collection[str]) -> None:
        """Close the books of products."""
        with self._lock:
            self._books.forget(products)

    def facts(self, worker: WorkerFacts) -> ClusterFacts:
        """Copy of the books, and the only worker."""
        with self._lock:
            products = {
                key: replace(each, seconds=dict(each.seconds))
                for key, each in self._books.products.items()
            }
            return ClusterFacts((worker,), products, self._books.stages())


def product_settled(client: Client, product: str) -> None:
    """Wait until no worker runs a task of a product any more.

    Parameters
    ----------
    client
        Client of the cluster.
    product
        Key of the product; tasks of others are not waited for.
    """
    deadline = time.monotonic() + _SETTLE_S
    while time.monotonic() < deadline and any(client.run(_running, product=product).values()):
        time.sleep(0.1)


def _running(dask_worker: Any = None, *, product: str) -> int:
    executing = dask_worker.state.executing
    return sum((task.annotations or {}).get(PRODUCT) == product for task in executing)
