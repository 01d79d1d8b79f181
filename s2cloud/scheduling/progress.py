"""Progress of a computation as counted tasks, the same for threads and for a dask cluster.

A library draws no bars: the functions here call back with ``(done, total)`` and leave the
drawing to whoever asked.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from typing import TYPE_CHECKING, Any, Final, Protocol

from dask.callbacks import Callback
from distributed.diagnostics.plugin import SchedulerPlugin
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from distributed import Client

__all__ = ["OnProgress", "TaskCounter", "progress"]

logger = logging.getLogger(__name__)

#: Seconds between two questions to the scheduler of a cluster.
POLL_SECONDS: Final = 0.5


class OnProgress(Protocol):
    """What is called while a computation runs.

    ``total`` may grow, when a second computation starts or lost work is repeated.
    """

    def __call__(self, done: int, total: int) -> None:
        """Take note that ``done`` of ``total`` tasks are finished."""


@contextlib.contextmanager
def progress(on_progress: OnProgress | None, client: Client | None = None) -> Iterator[None]:
    """Report the tasks of all dask computations made inside the ``with`` block.

    Parameters
    ----------
    on_progress
        Receiver of ``(done, total)``; nothing is counted without one.
    client
        Client of the cluster that computes; None for dask's threads in this process.
    """
    if on_progress is None:
        yield
    elif client is None:
        with _ThreadProgress(on_progress):
            yield
    else:
        with _cluster_progress(on_progress, client):
            yield


class _ThreadProgress(Callback):  # type: ignore[misc]  # dask carries no types
    """Counts finished tasks over all computations made while it is registered."""

    def __init__(self, on_progress: OnProgress) -> None:
        super().__init__()
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._done = 0
        self._total = 0

    # The underscored names are dask's protocol for callbacks.
    def _start_state(self, dsk: Any, state: Mapping[str, Any]) -> None:  # noqa: ARG002
        with self._lock:
            self._total += sum(len(state[name]) for name in ("ready", "waiting"))
            self._report()

    def _posttask(self, *_: Any) -> None:
        with self._lock:
            self._done += 1
            self._report()

    def _report(self) -> None:
        self._on_progress(min(self._done, self._total), self._total)


class TaskCounter(SchedulerPlugin):  # type: ignore[misc]  # distributed carries no types
    """Counts tasks where they are decided upon, in the scheduler of a cluster.

    Parameters
    ----------
    name
        Name under which the plug-in is registered.
    """

    #: A second client may ask for its own counter.
    idempotent = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.done = 0
        self.total = 0

    @override
    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        if start == "released" and finish == "waiting":
            self.total += 1
        elif finish == "released" and start in {"waiting", "queued", "no-worker", "processing"}:
            self.total -= 1  # cancelled, or about to be repeated elsewhere
        elif start == "processing" and finish in {"memory", "erred"}:
            self.done += 1


@contextlib.contextmanager
def _cluster_progress(on_progress: OnProgress, client: Client) -> Iterator[None]:
    name = f"s2cloud-progress-{uuid.uuid4().hex}"
    client.register_plugin(TaskCounter(name), name=name)
    stop = threading.Event()

    def ask() -> None:
        done, total = client.run_on_scheduler(_counts, name=name)
        if total:
            on_progress(min(done, total), total)

    def poll() -> None:
        while not stop.wait(POLL_SECONDS):
            try:
                ask()
            except Exception as error:  # noqa: BLE001  # a lost bar must not lose the work
                logger.debug("progress stopped: %s", error)
                return

    thread = threading.Thread(target=poll, name=name, daemon=True)
    thread.start()
    try:
        yield
        ask()
    finally:
        stop.set()
        thread.join()
        with contextlib.suppress(Exception):  # the scheduler may be what failed
            client.unregister_scheduler_plugin(name)


def _counts(dask_scheduler: Any = None, *, name: str) -> tuple[int, int]:
    counter = dask_scheduler.plugins[name]
    return counter.done, counter.total
