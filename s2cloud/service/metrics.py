"""Metrics of the service, under the names of a batch's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from s2cloud.scheduling.batch_events import Snapshot
from s2cloud.scheduling.observe import BatchMetrics

if TYPE_CHECKING:
    from s2cloud.service.dispatcher import Dispatcher
    from s2cloud.service.intake import Intake
    from s2cloud.service.runner import ProductMaker

__all__ = ["ServiceMetrics"]


class ServiceMetrics:
    """What ``/metrics`` says, made when it is asked for.

    Parameters
    ----------
    dispatcher, intake, make
        What is told of.

    Notes
    -----
    Products that wait are all that are open in the store; those that run or have ended are this
    process's own since it started, so that sums over processes are sums.
    """

    def __init__(self, dispatcher: Dispatcher, intake: Intake, make: ProductMaker) -> None:
        import prometheus_client  # noqa: PLC0415  # an extra

        self._dispatcher = dispatcher
        self._intake = intake
        self._make = make
        self._generate: Any = prometheus_client.generate_latest
        self._batch = BatchMetrics()
        registry = self._batch.registry
        self._events = prometheus_client.Gauge(
            "s2cloud_events",
            "Addresses in events, by what was done.",
            ["outcome"],
            registry=registry,
        )
        self._listed = prometheus_client.Gauge(
            "s2cloud_listing_age_seconds", "Since the jobs were last listed.", registry=registry
        )
        self._began = time.monotonic()

    def text(self) -> bytes:
        """Metrics in the text format of Prometheus."""
        tally = self._dispatcher.tally
        open_jobs = self._dispatcher.watched()
        running = self._dispatcher.running()
        facts, projected = self._make.facts()
        waits = [time.time() - each["received"] for each in open_jobs if each["received"]]
        states = {
            "waiting": sum(each["state"] != "leased" for each in open_jobs),
            "running": len(running),
            "done": 0,
            "failed": 0,
            "refused": 0,
            "cancelled": 0,
            **tally.ended,
        }
        self._batch(
            None,
            Snapshot(
                states=states,
                tasks={},
                part=0.0,
                elapsed_s=time.monotonic() - self._began,
                eta_s=float("nan"),
                workers=sum(worker.accepting for worker in facts.workers),
                memory_bytes=sum(worker.memory for worker in facts.workers),
                projected_bytes=projected,
                queue_age_s=max(waits, default=0.0),
                stages=dict(facts.stages),
                retries=tally.retries,
                bytes_written=tally.bytes_written,
            ),
        )
        for outcome in ("new", "known", "ignored", "filtered", "refused", "unreadable"):
            self._events.labels(outcome).set(self._intake.counts[outcome])
        self._listed.set(time.monotonic() - self._dispatcher.listed_at)
        return bytes(self._generate(self._batch.registry))
