"""OpenTelemetry traces, where the library is installed and an exporter is configured.

One span per product, with the times of its stages as attributes; nothing happens without
``s2cloud[trace]``.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from s2cloud.scheduling.batch_events import Event, OnEvent, Snapshot

__all__ = ["traced"]


@contextlib.contextmanager
def traced(on_event: OnEvent, tracer: Any = None) -> Iterator[OnEvent]:
    """Have the events of a batch traced.

    Parameters
    ----------
    on_event
        Told of everything as before.
    tracer
        Of OpenTelemetry; that of the global provider by default, which is set by the environment
        (``OTEL_EXPORTER_OTLP_ENDPOINT``) under ``opentelemetry-instrument``.

    Yields
    ------
    OnEvent
        To be given to the batch.
    """
    if tracer is None:
        try:
            from opentelemetry import trace  # noqa: PLC0415  # an extra
        except ImportError:
            yield on_event
            return
        tracer = trace.get_tracer("s2cloud")
    spans: dict[str, Any] = {}

    def told(event: Event | None, now: Snapshot) -> None:
        on_event(event, now)
        if event is None:
            return
        if event.kind == "started":
            spans[event.key] = tracer.start_span(
                "product", attributes={"s2cloud.product": event.name, "s2cloud.job": event.key}
            )
        elif (span := spans.pop(event.key, None)) is not None:
            span.set_attribute("s2cloud.outcome", event.kind)
            if event.kind in {"retry", "failed"}:
                span.add_event("exception", {"exception.message": event.words})
            span.end()

    try:
        yield told
    finally:
        for span in spans.values():
            span.set_attribute("s2cloud.outcome", "stopped")
            span.end()
