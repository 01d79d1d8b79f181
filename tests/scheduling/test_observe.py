"""What an operator watches: metrics, logs, traces."""

from __future__ import annotations

import json
import logging
import socket
import urllib.request
from typing import Any

import pytest

from s2cloud.model.errors import InputError, UsageError
from s2cloud.scheduling.batch import Batch
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.executors import executor_for
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.ledger import of_product
from s2cloud.scheduling.logs import JsonFormatter
from s2cloud.scheduling.observe import BatchMetrics, observed
from s2cloud.scheduling.products import Made
from s2cloud.scheduling.projection import Projection
from s2cloud.scheduling.strategies import Cost
from s2cloud.scheduling.tracing import traced


def known(job):
    return Projection(product=job.source[-1], tile="", date="", megapixels=1.0, cost=Cost(cpu_s=1))


def make(job, settle=None):
    if job.source.endswith("b"):
        raise InputError("damaged")
    return Made(key=job.key, destination="memory://out/a", bytes_written=7)


def carried_out(on_event):
    jobs = [Job(f"memory://in/{name}", "memory://out") for name in "ab"]
    batch = Batch(jobs, on_event=on_event, make=make, projected=known)
    with cluster("threads", workers=1) as client, executor_for(client) as executor:
        batch.run(executor)
    on_event(None, batch.snapshot())


def test_metrics_tell_products_by_state_and_more():
    pytest.importorskip("prometheus_client")
    metrics = BatchMetrics()
    carried_out(metrics)

    def value(name, **labels):
        return metrics.registry.get_sample_value(f"s2cloud_{name}", labels)

    assert value("products", state="done") == 1
    assert value("products", state="failed") == 1
    assert value("products", state="running") == 0
    assert value("written_bytes") == 7
    assert value("workers") == 1
    assert value("memory_bytes") > 2**20
    assert value("product_events_count", kind="failed") == 1


def test_metrics_are_served_and_the_port_is_given_back():
    pytest.importorskip("prometheus_client")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with observed(str(port)) as metrics:
        carried_out(metrics)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        assert 's2cloud_products{state="done"} 1.0' in text
        with pytest.raises(UsageError, match="cannot serve"), observed(str(port)):
            pass
    with observed(str(port)):
        pass


def test_nonsense_for_an_address_is_a_usage_error():
    pytest.importorskip("prometheus_client")
    with pytest.raises(UsageError, match="cannot serve"), observed("here"):
        pass


def test_each_line_of_the_log_is_json_with_product_and_job():
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(JsonFormatter().format(record))  # type: ignore[method-assign]
    logger = logging.getLogger("s2cloud")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        carried_out(lambda event, now: None)
        with of_product("job-7"):
            logging.getLogger("s2cloud.x").info("inside %s", "a block")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    found = [json.loads(line) for line in lines]
    failed = next(each for each in found if each.get("event") == "failed")
    assert failed["product"] == "b"
    assert len(failed["job"]) == 64
    assert failed["level"] == "warning"
    assert found[-1]["job"] == "job-7"
    assert found[-1]["message"] == "inside a block"


def test_each_product_is_a_span_with_its_outcome():
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: PLC0415
        InMemorySpanExporter,
    )

    exporter, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with traced(lambda event, now: None, provider.get_tracer("test")) as told:
        carried_out(told)
    ended: Any = exporter.get_finished_spans()
    spans = {span.attributes["s2cloud.product"]: span for span in ended}
    assert spans["a"].attributes["s2cloud.outcome"] == "done"
    assert spans["b"].attributes["s2cloud.outcome"] == "failed"
    assert "damaged" in spans["b"].events[0].attributes["exception.message"]
