"""The roster: its running sums are the sums, whatever happened; and a turn costs what changed."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2cloud.scheduling.batch import Batch
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.ledger import ClusterFacts, ProductFacts, WorkerFacts
from s2cloud.scheduling.products import Made
from s2cloud.scheduling.projection import Projection
from s2cloud.scheduling.roster import Roster
from s2cloud.scheduling.runfile import Entry, read_run_file
from s2cloud.scheduling.strategies import Cost

STATES = ("new", "projecting", "waiting", "running", "done", "found", "failed")
NOTHING = ClusterFacts((), {})


def entries(count):
    return [
        Entry(job=Job(f"memory://in/{n}", "memory://out"), owner="ab"[n % 2], arrived=float(n))
        for n in range(count)
    ]


def summed(all_of):
    """Share of the work that is done, the long way."""
    costs = [entry.cost.work_s for entry in all_of if entry.cost is not None]
    mean = sum(costs) / len(costs) if costs else 1.0
    whole = [e for e in all_of if e.state != "found"]

    def work(those):
        return sum(mean if entry.cost is None else entry.cost.work_s for entry in those)

    done = work(entry for entry in whole if entry.state in {"done", "failed"})
    return done / work(whole) if work(whole) else 1.0


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(STATES), st.integers(0, 9)), max_size=40)
)
@settings(max_examples=60, deadline=None)
def test_sums_kept_are_sums_made_anew(changes):
    all_of = entries(6)
    roster = Roster(all_of)
    served = {"a": 0.0, "b": 0.0}
    for number, state, size in changes:
        entry = all_of[number]
        roster.began_try(entry)
        roster.price(entry, Cost(cpu_s=float(size), memory_bytes=size))
        roster.move(entry, state)
        roster.took(entry, ProductFacts(seconds={"read": 1.0}))
        roster.took(entry, ProductFacts(seconds={"read": 1.0, "write": float(size)}))
        roster.wrote(entry, 2.0, 7)
        served[entry.owner] += 3.0 + size
    now = roster.snapshot(NOTHING, 100.0)
    assert now.states == Counter(entry.state for entry in all_of)
    assert now.part == pytest.approx(summed(all_of))
    assert {owner: roster.served[owner] for owner in "ab"} == pytest.approx(served)
    assert sum(now.stages.values()) == pytest.approx(sum(1.0 + size for _, _, size in changes))
    assert now.retries == sum(max(0, entry.tries - 1) for entry in all_of)
    assert now.bytes_written == sum(entry.bytes_written for entry in all_of)
    queued = [e.arrived for e in all_of if e.state in {"new", "projecting", "waiting"}]
    assert now.queue_age_s == (100.0 - min(queued) if queued else 0.0)
    assert {r.key for r in roster.ready(0.0)} == {e.key for e in all_of if e.state == "waiting"}
    assert all(r == roster.entries[r.key].request() for r in roster.ready(0.0))


class AtOnce:
    """Makes products between two looks, as many at once as it is given."""

    def __init__(self):
        self.ends = []
        self.forgotten = []

    def facts(self):
        ends, self.ends = self.ends, []
        for end in ends:
            end()
        return ClusterFacts((WorkerFacts("w", 16, 2**34),), {})

    def call(self, function, job, on_end):
        cost = Cost(cpu_s=1.0, memory_bytes=2**20)
        name = job.source
        on_end(Projection(product=name, tile="T", date="", megapixels=1.0, cost=cost), None)

    def make(self, job, admission, mark, make, on_end):
        made = Made(key=job.key, destination="memory://out")
        self.ends.append(lambda: on_end(made, None))

    def forget(self, mark):
        self.forgotten.append(mark)

    def abandon(self):
        pass


def calls(count, path):
    """Calls of Python functions that a batch of so many products takes."""
    jobs = [Job(f"memory://in/{n}", "memory://out") for n in range(count)]
    seen = [0]
    batch = Batch(jobs, on_event=lambda event, now: None, run_file=str(path))
    executor = AtOnce()

    def counted(frame, event, arg):
        seen[0] += event == "call"

    sys.setprofile(counted)
    try:
        made = batch.run(executor)
    finally:
        sys.setprofile(None)
    assert all(entry.state == "done" for entry in made)
    assert len(set(executor.forgotten)) == count
    kept = read_run_file(str(path))
    assert kept is not None
    assert [each["state"] for each in kept["products"]] == ["done"] * count
    return seen[0]


def test_a_batch_of_many_costs_no_more_per_product_than_one_of_few(tmp_path):
    few, many = (calls(count, tmp_path / f"{count}.json") for count in (60, 480))
    assert many / 480 < 1.5 * few / 60
