"""What an operator watches: Prometheus metrics, logs as JSON, traces."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any, Final

from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s2cloud.scheduling.batch_events import Event, OnEvent, Snapshot

__all__ = ["BatchMetrics", "observed"]

_STATES: Final = ("new", "projecting", "waiting", "running", "done", "found", "failed")


class BatchMetrics:
    """Metrics of a batch for Prometheus.

    Parameters
    ----------
    registry
        Of ``prometheus_client``; one of its own by default.
    """

    def __init__(self, registry: Any = None) -> None:
        library = _prometheus()
        self.registry = registry or library.CollectorRegistry()

        def gauge(name: str, words: str, *labels: str) -> Any:
            return library.Gauge(f"s2cloud_{name}", words, labels, registry=self.registry)

        self._products = gauge("products", "Products by state.", "state")
        self._age = gauge("queue_age_seconds", "How long the oldest product waits.")
        self._stages = gauge("block_seconds", "Time that tasks ran, by stage.", "stage")
        self._written = gauge("written_bytes", "Length of the products made.")
        self._retries = gauge("retries", "Tries beyond the first.")
        self._projected = gauge("projected_memory_bytes", "What running products may need.")
        self._memory = gauge("memory_bytes", "What worker processes use.")
        self._workers = gauge("workers", "Workers that take tasks.")
        self._eta = gauge("eta_seconds", "To the end of the batch as it looks now.")
        self._seconds = library.Histogram(
            "s2cloud_product_events",
            "When things happened to products, seconds after the start of the batch.",
            ["kind"],
            buckets=(60, 300, 900, 3600, 4 * 3600, 24 * 3600),
            registry=self.registry,
        )

    def __call__(self, event: Event | None, now: Snapshot) -> None:
        """Take note of the state of the batch."""
        for state, number in {**dict.fromkeys(_STATES, 0), **now.states}.items():
            self._products.labels(state).set(number)
        for stage, seconds in now.stages.items():
            self._stages.labels(stage).set(seconds)
        self._age.set(now.queue_age_s)
        self._written.set(now.bytes_written)
        self._retries.set(now.retries)
        self._projected.set(now.projected_bytes)
        self._memory.set(now.memory_bytes)
        self._workers.set(now.workers)
        if not math.isnan(now.eta_s):
            self._eta.set(now.eta_s)
        if event is not None:
            self._seconds.labels(event.kind).observe(now.elapsed_s)


@contextlib.contextmanager
def observed(address: str | None) -> Iterator[OnEvent]:
    """Serve metrics for the ``with`` block.

    Parameters
    ----------
    address
        ``PORT`` or ``HOST:PORT``, the loopback interface if no host is named; None for nothing.

    Yields
    ------
    OnEvent
        To be told of everything.

    Raises
    ------
    UsageError
        If prometheus-client is not installed, or the address is none or taken.
    """
    if address is None:
        yield _nothing
        return
    host, _, port = address.rpartition(":")
    metrics = BatchMetrics()
    try:
        server, thread = _prometheus().start_http_server(
            int(port), addr=host or "127.0.0.1", registry=metrics.registry
        )
    except (ValueError, OSError) as error:
        raise UsageError(
            "cannot serve metrics", where=address, expected="[HOST:]PORT", found=str(error)
        ) from error
    try:
        yield metrics
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _nothing(event: Event | None, now: Snapshot) -> None:
    """Take no note."""


def _prometheus() -> Any:
    try:
        import prometheus_client  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise UsageError(
            "no metrics without prometheus-client",
            found=f"no module {error.name}",
            fix="pip install 's2cloud[serve]'",
        ) from error
    return prometheus_client
