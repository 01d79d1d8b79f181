"""A batch before a store that is slow, refuses and cuts: every product, only later."""

from __future__ import annotations

from pathlib import Path

import pytest

from s2cloud.io.stores import open_store
from s2cloud.scheduling.batch import Batch
from s2cloud.scheduling.batch_events import Policy
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.submit import carry_out, sources_of
from s2cloud.simulation import simulate_l1c

pytest.importorskip("moto")
from tests.soak.proxy import broken, faults_of
from tests.soak.servers import served

#: What breaks, how many of the requests, and how many of them are met at least.
TROUBLES = [("slow", 1.0, 50), ("all", 0.1, 5)]


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """Server with two products in its bucket."""
    folder = tmp_path_factory.mktemp("s3")
    with served(folder / "server") as server:
        for tile in ("32TQM", "32TQL"):
            found = Path(simulate_l1c(folder / "l1c", size=96, tile=tile).uri)
            store = open_store(f"s3://soak/l1c/{found.name}", server.options)
            for path in sorted(found.rglob("*")):
                if path.is_file():
                    store.write(str(path.relative_to(found)), path.read_bytes())
        yield server


@pytest.mark.parametrize(("fault", "rate", "least"), TROUBLES)
def test_every_product_is_made_before_a_store_in_trouble(bucket, fault, rate, least):
    to = f"s3://soak/l2a-{fault}"
    with broken(bucket.port, fault, rate, seed=1) as endpoint:
        options = {**bucket.options, "endpoint_url": endpoint}
        jobs = [
            Job(source, to, formats=("cog",), source_options=options, destination_options=options)
            for source in sources_of("s3://soak/l1c/", bucket.options)
        ]
        batch = Batch(jobs, Policy(tries=3, wait_s=0.2))
        result = carry_out(batch, lambda: cluster("threads", workers=2))
        assert sum(faults_of(endpoint).values()) >= least
    assert [entry.state for entry in result.entries] == ["done", "done"], result.failed
    # What was written is whole: read past the proxy.
    for entry in result.entries:
        assert open_store(entry.destination, bucket.options).exists("receipt.json")
