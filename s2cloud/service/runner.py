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
from s2cloud.scheduling.admission import Admission
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.executors import Executor, executor_for
from s2cloud.scheduling.ledger import ClusterFacts
from s2cloud.scheduling.products import Made, make_product
from s2cloud.scheduling.projection import project

if TYPE_CHECKING:
    from collections.abc import Iterator

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

    def facts(self) -> tuple[ClusterFacts, int]:
        """Workers and books now, and what running products are projected to need. [byte]."""
        ...

    def close(self) -> None:
        """Give up what runs."""
        ...


@dataclass(slots=True)
class ClusterMaker:
    """Makes products on a cluster as of the settings.

    Attributes
    ----------
    settings
        Of the cluster.
    """

    settings: ClusterSettings
    _lock: Any = field(default_factory=threading.RLock, init=False)
    _opened: contextlib.ExitStack | None = field(default=None, init=False)
    _executor: Executor | None = field(default=None, init=False)
    _not_before: float = field(default=0.0, init=False)
    _projected: dict[str, int] = field(default_factory=dict, init=False)
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
            executor = self._executor
        outcome: Future[Made] = Future()

        def ended(made: Made | None, error: BaseException | None) -> None:
            with contextlib.suppress(InvalidStateError):
                if error is not None:
                    outcome.set_exception(error)
                elif made is not None:
                    outcome.set_result(made)

        with self._reckoned(job):
            workers = tuple(w.name for w in self._looked(executor).workers if w.accepting)
            mark = f"{job.key}.{uuid.uuid4().hex[:8]}"
            executor.make(job, Admission(job.key, workers), mark, make_product, ended)
            while True:
                try:
                    return outcome.result(timeout=LOOK_S)
                except TimeoutError:
                    if outcome.done():
                        raise
                    self._looked(executor)

    def facts(self) -> tuple[ClusterFacts, int]:
        """Workers and books as they were at the last look, and projected memory."""
        executor = self._executor
        if executor is not None:
            with contextlib.suppress(S2CloudError):
                self._looked(executor)
        return self._last, sum(self._projected.values())

    def close(self) -> None:
        """Give up what runs, and the cluster."""
        with self._lock:
            if self._executor is not None:
                self._executor.abandon()
            self._drop()

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
        except BaseException:
            stack.close()
            raise
        self._opened, self._executor = stack, executor
        logger.info("products are made by %s", kind)

    def _drop(self) -> None:
        stack, self._opened, self._executor = self._opened, None, None
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
    def _reckoned(self, job: Job) -> Iterator[None]:
        """Keep what a product is projected to need among the books while it is made."""
        try:
            self._projected[job.key] = project(job).cost.memory_bytes
        except UnavailableError:
            self._projected[job.key] = 0
        try:
            yield
        finally:
            self._projected.pop(job.key, None)
