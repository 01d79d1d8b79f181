"""Products made on the cluster of the settings, which is opened once and again if it is lost."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from s2cloud.model.errors import S2CloudError, UnavailableError
from s2cloud.scheduling.admission import Admission, Limits, admit
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.executors import Executor, executor_for
from s2cloud.scheduling.ledger import ClusterFacts
from s2cloud.scheduling.products import Made, make_product
from s2cloud.scheduling.projection import project
from s2cloud.scheduling.strategies import (
    ClusterState,
    Cost,
    Request,
    Running,
    WorkerState,
    strategy,
)
from s2cloud.service.breaking import break_off, breakable_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

    from s2cloud.scheduling.jobs import Job
    from s2cloud.service.settings import ClusterSettings

__all__ = ["ClusterMaker", "ProductMaker"]

logger = logging.getLogger(__name__)

#: Between two looks at a cluster that makes a product. [s]
LOOK_S: Final = 5.0
#: Between two tries to open a cluster. [s]
REOPEN_S: Final = 10.0


class ProductMaker(Protocol):
    """What makes products; called in several threads at once."""

    def ready(self) -> bool:
        """Whether there is a place to make products in; opens it if need be."""
        ...

    def __call__(self, job: Job) -> Made:
        """Make the product of a job, or find it made."""
        ...

    def cancel(self, job: Job) -> None:
        """Break off the product of a job, if it is being made here; its call then fails soon."""
        ...

    def facts(self) -> tuple[ClusterFacts, int]:
        """Workers and books now, and what running products are projected to need. [byte]."""
        ...

    def close(self) -> None:
        """Give up what runs."""
        ...


@dataclass(slots=True)
class ClusterMaker:
    """Makes products on a cluster as of the settings.

    Products that are called for at once begin when the memory they are projected to need is free
    beside that of the others, in the order of the calls.

    Attributes
    ----------
    settings
        Of the cluster.
    """

    settings: ClusterSettings
    _lock: Any = field(default_factory=threading.RLock, init=False)
    _opened: contextlib.ExitStack | None = field(default=None, init=False)
    _client: Client | None = field(default=None, init=False)
    _executor: Executor | None = field(default=None, init=False)
    _not_before: float = field(default=0.0, init=False)
    _room: threading.Condition = field(default_factory=threading.Condition, init=False)
    _waiting: dict[str, Request] = field(default_factory=dict, init=False)
    _running: dict[str, Running] = field(default_factory=dict, init=False)
    _cancelled: set[str] = field(default_factory=set, init=False)
    _last: ClusterFacts = field(default_factory=lambda: ClusterFacts((), {}), init=False)

    def ready(self) -> bool:
        """Whether the cluster answers; opened here, and again a while after it was lost."""
        with self._lock:
            if self._executor is not None:
                return True
            if time.monotonic() < self._not_before:
                return False
            self._not_before = time.monotonic() + REOPEN_S
            try:
                self._open()
            except S2CloudError as error:
                logger.warning("no cluster: %s", error)
                return False
            return True

    def __call__(self, job: Job) -> Made:
        """Make the product of a job, or find it made."""
        with self._lock:
            if self._executor is None:
                raise UnavailableError("no cluster", where=self.settings.kind)
            executor, client = self._executor, self._client
        outcome: Future[Made] = Future()

        def ended(made: Made | None, error: BaseException | None) -> None:
            with contextlib.suppress(InvalidStateError):
                if error is not None:
                    outcome.set_exception(error)
                elif made is not None:
                    outcome.set_result(made)

        with self._admitted(job, executor) as admission:
            mark = f"{job.key}.{uuid.uuid4().hex[:8]}"
            executor.make(job, admission, mark, make_product, ended)
            try:
                while True:
                    try:
                        return outcome.result(timeout=LOOK_S)
                    except TimeoutError:
                        if outcome.done():
                            raise
                        self._looked(executor)
                        if job.key in self._cancelled and client is not None:
                            break_off(client, job.key)  # between two computations before
            finally:
                executor.forget(mark)

    def cancel(self, job: Job) -> None:
        """Break off the product of a job, if it is being made here; its call then fails soon."""
        with self._room:
            if job.key not in self._running and job.key not in self._waiting:
                return
            self._cancelled.add(job.key)
            self._room.notify_all()
        if self._client is not None:
            break_off(self._client, job.key)

    def facts(self) -> tuple[ClusterFacts, int]:
        """Workers and books as they were at the last look, and projected memory."""
        executor = self._executor
        if executor is not None:
            with contextlib.suppress(S2CloudError):
                self._looked(executor)
        with self._room:
            return self._last, sum(r.request.cost.memory_bytes for r in self._running.values())

    def close(self) -> None:
        """Give up what runs, and the cluster."""
        with self._lock:
            if self._executor is not None:
                self._executor.abandon()
            self._drop()
        with self._room:
            self._room.notify_all()

    def _open(self) -> None:
        given = self.settings
        kind = given.address if given.address is not None else given.kind
        options: dict[str, Any] = {"options": given.options} if given.options else {}
        stack = contextlib.ExitStack()
        try:
            client = stack.enter_context(
                cluster(
                    kind,
                    workers=given.workers,
                    threads=given.threads,
                    memory=given.memory,
                    **options,
                )
            )
            executor = stack.enter_context(executor_for(client))
            if client is None:
                stack.enter_context(breakable_threads(self._cancelled))
        except BaseException:
            stack.close()
            raise
        self._opened, self._executor, self._client = stack, executor, client
        logger.info("products are made by %s", kind)

    def _drop(self) -> None:
        stack, self._opened, self._executor, self._client = self._opened, None, None, None
        if stack is not None:
            try:
                stack.close()
            except Exception:  # a cluster that is gone does not close in order
                logger.debug("cluster not closed in order", exc_info=True)

    def _looked(self, executor: Executor) -> ClusterFacts:
        try:
            self._last = executor.facts()
        except UnavailableError:
            with self._lock:
                if self._executor is executor:
                    self._drop()
            raise
        return self._last

    @contextlib.contextmanager
    def _admitted(self, job: Job, executor: Executor) -> Iterator[Admission]:
        """Wait for memory, then keep what the product needs among the books while it is made."""
        request = Request(key=job.key, cost=_projected(job), arrived=time.monotonic())
        try:
            with self._room:
                self._waiting[job.key] = request
                while (admission := self._admission(request, executor)) is None:
                    self._room.wait(LOOK_S)
                del self._waiting[job.key]
                self._running[job.key] = Running(
                    request=request, workers=admission.workers, started=time.monotonic()
                )
            yield admission
        finally:
            with self._room:
                for books in (self._waiting, self._running):
                    books.pop(job.key, None)
                self._cancelled.discard(job.key)
                self._room.notify_all()

    def _admission(self, request: Request, executor: Executor) -> Admission | None:
        if request.key in self._cancelled or self._executor is not executor:
            raise UnavailableError("product is not begun", where=request.key[:12])
        accepting = [worker for worker in self._looked(executor).workers if worker.accepting]
        needed = dict.fromkeys((worker.name for worker in accepting), 0)
        for running in self._running.values():
            for name in needed.keys() & set(running.workers):
                needed[name] += running.request.cost.memory_bytes // len(running.workers)
        state = ClusterState(
            now=time.monotonic(),
            workers=tuple(
                WorkerState(
                    name=worker.name,
                    threads=worker.threads,
                    memory_bytes=worker.memory_limit,
                    projected_bytes=needed[worker.name],
                )
                for worker in accepting
            ),
            running=tuple(self._running.values()),
        )
        waiting = list(self._waiting.values())
        # How many run at once is for the settings to say: they were called for.
        limits = Limits(in_flight=len(waiting) + len(self._running))
        for admission in admit(strategy("fifo"), waiting, state, limits):
            if admission.key == request.key:
                return admission
        if not self._running and min(waiting, key=lambda each: each.arrived) is request:
            # It will not fit better later; projections err on the safe side.
            logger.warning(
                "product is projected to need %.1f GiB, more than there is: begun alone",
                request.cost.memory_bytes / 2**30,
                extra={"job": request.key},
            )
            return Admission(request.key, tuple(needed))
        return None


def _projected(job: Job) -> Cost:
    try:
        return project(job).cost
    except UnavailableError:
        return Cost()
