"""Workers that really run out of memory: what is to blame ends with its reason, nobody else."""

from __future__ import annotations

import time

import dask
import pytest

from s2cloud.scheduling.batch import Batch
from s2cloud.scheduling.batch_events import Policy
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.products import Made
from s2cloud.scheduling.projection import Projection
from s2cloud.scheduling.strategies import Cost
from s2cloud.scheduling.submit import carry_out

pytestmark = pytest.mark.cluster

MIB = 2**20
LIMIT = 900 * MIB


def known(job):
    cost = Cost(cpu_s=1.0, memory_bytes=10 * MIB)  # far too little
    return Projection(product=job.source, tile="", date="", megapixels=1.0, cost=cost)


def greedy(job, settle=None):
    """Needs as many MiB as its name says, and holds them for a while."""
    held = []
    for _ in range(int(job.source.rsplit("/", 1)[-1]) // 50):
        held.append(bytearray(b"\1") * (50 * MIB))
        time.sleep(0.05)
    time.sleep(0.5)
    return Made(key=job.key, destination="memory://out")


def carried_out(*sizes, threads=2):
    jobs = [Job(f"memory://{number}/{size}", "memory://out") for number, size in enumerate(sizes)]
    batch = Batch(jobs, Policy(tries=2, wait_s=0.1), make=greedy, projected=known)
    # By default dask tries what killed a worker on three others; here that would only take longer.
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        result = carry_out(
            batch, lambda: cluster("local", workers=1, threads=threads, memory=LIMIT), restarts=0
        )
    return result.entries


def test_products_that_die_of_one_another_are_made_one_after_the_other():
    first, second = carried_out(450, 450)
    assert [first.state, second.state] == ["done", "done"]
    assert max(first.tries, second.tries) == 2
    again = first if first.tries == 2 else second
    assert "died, most likely for lack of memory" in again.causes[0]
    assert again.cost.memory_bytes > LIMIT // 2


def test_what_no_worker_can_hold_ends_with_its_reason_and_the_rest_is_made():
    poison, other = carried_out(3000, 0, threads=1)
    assert (poison.state, poison.tries) == ("failed", 2)
    assert all("lack of memory" in cause for cause in poison.causes)
    assert other.state == "done"
