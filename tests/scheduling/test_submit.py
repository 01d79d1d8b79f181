"""The front door: what is taken for a product, and what happens when a cluster is lost."""

from __future__ import annotations

import contextlib

import fsspec
import pytest

from s2cloud.model.errors import InputError, UnavailableError, UsageError
from s2cloud.scheduling.batch import Batch
from s2cloud.scheduling.batch_events import Policy
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.ledger import ClusterFacts, WorkerFacts
from s2cloud.scheduling.products import Made
from s2cloud.scheduling.projection import Projection
from s2cloud.scheduling.strategies import Cost
from s2cloud.scheduling.submit import carry_out, sources_of, submit

NAME = "S2A_MSIL1C_20250615T101559_N0511_R022_T32TQ{}_20250615T121559"


@pytest.fixture
def prefix():
    """Prefix of a bucket that holds two products, the truth of one, and something else."""
    fs = fsspec.filesystem("memory")
    names = [NAME.format("L") + ".SAFE", NAME.format("M") + ".zip"]
    for name in (*names, NAME.format("M") + ".truth.zarr", "notes.txt"):
        fs.pipe_file(f"/bucket/l1c/{name}/x" if "SAFE" in name else f"/bucket/l1c/{name}", b"x")
    yield "memory://bucket/l1c/", [f"memory://bucket/l1c/{name}" for name in names]
    fs.rm("/bucket", recursive=True)


def test_a_prefix_stands_for_its_products_and_each_comes_once(prefix):
    address, products = prefix
    assert list(sources_of(address)) == products
    assert list(sources_of([products[1], address])) == [products[1], products[0]]


def test_a_list_stands_for_its_lines(tmp_path):
    path = tmp_path / "tiles.txt"
    path.write_text("# two\ns3://b/A.SAFE\ns3://b/B.SAFE  # late\ns3://b/A.SAFE\n")
    assert list(sources_of(str(path))) == ["s3://b/A.SAFE", "s3://b/B.SAFE"]


def test_an_empty_folder_and_nonsense_are_refused(tmp_path):
    with pytest.raises(InputError, match="no product in the folder"):
        list(sources_of(f"{tmp_path}/"))
    with pytest.raises(UsageError):
        list(sources_of(7))


def test_failures_are_in_the_result_and_raise_nothing(tmp_path):
    result = submit([f"{tmp_path}/none.SAFE"], str(tmp_path / "l2a"), policy=Policy(tries=2))
    (entry,) = result.failed
    assert entry.tries == 1
    assert "none.SAFE" in entry.causes[0]
    assert not result.stopped
    assert result.destinations == ()


class Fake:
    """An executor that makes one product and is lost, if so told."""

    def __init__(self, *, lost, accepting=True):
        self.lost = lost
        self.accepting = accepting
        self.made = []
        self.asked = 0

    def facts(self):
        self.asked += 1
        if self.lost and self.made:
            raise UnavailableError("the cluster is gone")
        good = WorkerFacts("good", 1, 2**30)
        return ClusterFacts((good, WorkerFacts("paused", 8, 2**40, accepting=self.accepting)), {})

    def call(self, function, job, on_end):
        cost = Cost(memory_bytes=2**20)
        found = Projection(product=job.source, tile="", date="", megapixels=1.0, cost=cost)
        on_end(found, None)

    def make(self, job, admission, mark, make, on_end):
        self.made.append((job.source, admission.workers))
        if not self.lost:
            on_end(Made(key=job.key, destination="memory://out"), None)

    def forget(self, mark):
        pass

    def abandon(self):
        pass


def carried_out(executors, monkeypatch, restarts=2):
    batch = Batch([Job(f"memory://{n}", "memory://out") for n in "abc"])
    left = iter(executors)
    monkeypatch.setattr(
        "s2cloud.scheduling.submit.executor_for",
        lambda client, two_level: contextlib.nullcontext(next(left)),
    )
    return carry_out(batch, lambda: contextlib.nullcontext(None), restarts=restarts)


def test_a_batch_goes_on_with_a_new_cluster(monkeypatch):
    first, second = Fake(lost=True), Fake(lost=False)
    result = carried_out([first, second], monkeypatch)
    assert [entry.state for entry in result.entries] == ["done"] * 3
    assert first.made
    assert sorted(source for source, _ in second.made) == [f"memory://{n}" for n in "abc"]


def test_but_not_for_ever(monkeypatch):
    with pytest.raises(UnavailableError):
        carried_out([Fake(lost=True), Fake(lost=True)], monkeypatch, restarts=1)


def test_nothing_starts_on_a_worker_that_is_paused(monkeypatch):
    fake = Fake(lost=False, accepting=False)
    carried_out([fake], monkeypatch)
    assert {workers for _, workers in fake.made} == {("good",)}
