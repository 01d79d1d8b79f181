"""The books of a cluster: tasks, seconds and bytes of each product, kept where they are decided.

Tasks say which product they belong to by an annotation, so that the tasks of many products can
run mixed on one scheduler and still be counted apart.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import dask
from dask.callbacks import Callback
from dask.utils import key_split
from distributed.diagnostics.plugin import SchedulerPlugin
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


@dataclass(slots=True)
class ProductFacts:
    """What is known of the tasks of one product.

    Attributes
    ----------
    done, total
        Numbers of tasks.
    seconds
        Time that tasks ran, by stage. [s]
    retried
        Tasks that were repeated because their worker was lost.
    first, last
        When the first task began and the last one ended, clock of the workers; 0 before. [s]
    """

    done: int = 0
    total: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    retried: int = 0
    first: float = 0.0
    last: float = 0.0

    @property
    def task_s(self) -> float:
        """Time that all tasks ran. [s]."""
        return sum(self.seconds.values())

    def add(self, stage: str, began: float, ended: float) -> None:
        """Count one task."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + ended - began
        self.first = min(self.first or began, began)
        self.last = max(self.last, ended)


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A worker as the scheduler knows it.

    Attributes
    ----------
    name
        Address.
    threads, memory_limit
        Its size. [1], [byte]
    memory
        What its process uses. [byte]
    accepting
        Whether it takes new tasks: neither paused nor on its way out.
    """

    name: str
    threads: int
    memory_limit: int
    memory: int = 0
    accepting: bool = True


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Books and workers at one moment."""

    workers: tuple[WorkerFacts, ...]
    products: Mapping[str, ProductFacts]


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
        self.products: dict[str, ProductFacts] = {}

    @override
    async def start(self, scheduler: Any) -> None:
        self.scheduler = scheduler

    @override
    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        task = self.scheduler.tasks.get(key)
        product = task.annotations.get(PRODUCT) if task is not None and task.annotations else None
        if product is None:
            return
        facts = self.products.setdefault(product, ProductFacts())
        if start == "released" and finish == "waiting":
            facts.total += 1
        elif finish == "released" and start in {"waiting", "queued", "no-worker", "processing"}:
            facts.total -= 1
            facts.retried += start == "processing"
        elif start == "processing" and finish in {"memory", "erred"}:
            facts.done += 1
            for span in kwargs.get("startstops") or ():
                if span["action"] == "compute":
                    facts.add(key_split(key), span["start"], span["stop"])


def facts_of(client: Client) -> ClusterFacts:
    """Books and workers of a cluster; opens the books on first use.

    Parameters
    ----------
    client
        Client of the cluster.
    """
    found = _asked(client)
    if found is None:
        client.register_plugin(Ledger(), name=_NAME)
        found = _asked(client)
    return found or ClusterFacts((), {})


def _asked(client: Client) -> ClusterFacts | None:
    if client.status != "running":
        raise ConnectionError(f"client is {client.status}")
    # Not by run_on_scheduler, which waits minutes for a scheduler that is gone.
    ask = client._run_on_scheduler  # noqa: SLF001
    found: ClusterFacts | None = client.sync(ask, _read, callback_timeout=_ANSWER_S)
    return found


def _read(dask_scheduler: Any = None) -> ClusterFacts | None:
    ledger = dask_scheduler.plugins.get(_NAME)
    if ledger is None:
        return None
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
    return ClusterFacts(workers, dict(ledger.products))


class ThreadLedger(Callback):  # type: ignore[misc]  # dask carries no types
    """The same books for dask's threads in this process."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._products: defaultdict[str, ProductFacts] = defaultdict(ProductFacts)

    @property
    def hooks(self) -> tuple[Any, ...]:
        """What dask's threads call, to be given to one computation."""
        return tuple(self._callback)

    # The underscored names are dask's protocol; they are called in the thread of the product.
    def _start_state(self, dsk: Any, state: Mapping[str, Any]) -> None:  # noqa: ARG002
        with self._lock:
            found = self._products[_current.get()]
            found.total += sum(len(state[name]) for name in ("ready", "waiting"))

    def _posttask(self, *_: Any) -> None:
        with self._lock:
            self._products[_current.get()].done += 1

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
                    self._products[product].add(stage, began, time.time())

        return run

    def products(self) -> dict[str, ProductFacts]:
        """Copy of the books."""
        with self._lock:
            return {
                key: replace(each, seconds=dict(each.seconds))
                for key, each in self._products.items()
            }


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
