"""Places of work: set up, used, cleared away; the same progress from both."""

from __future__ import annotations

import time

import dask
import dask.array as da
import pytest
from dask.base import get_scheduler

from s2cloud.model.errors import InputError, UsageError
from s2cloud.scheduling.cluster import cluster, settled, worker_memory_bytes
from s2cloud.scheduling.progress import progress


class Record:
    """Every call of a progress function."""

    def __init__(self):
        self.calls = []

    def __call__(self, done, total):
        self.calls.append((done, total))


def work():
    """A computation of a good many tasks."""
    return (da.ones((400, 400), chunks=50) + 1).sum()


def broken(block):
    """A block function that finds its input unsuitable."""
    raise InputError("damaged block", where="B02", fix="download it again")


@pytest.fixture(scope="module")
def client():
    with cluster("local", workers=2) as client:
        yield client


def test_none_is_threads_of_this_process():
    with cluster("none", workers=2) as client:
        assert client is None
        assert dask.config.get("num_workers") == 2
    with cluster("none", n_workers=3):
        assert dask.config.get("num_workers") == 3
        assert get_scheduler() is dask.threaded.get
        assert work().compute() == 320_000


@pytest.mark.parametrize(("kind", "workers"), [("moon", 1), ("none", 0), ("local", -1)])
def test_nonsense_is_a_usage_error(kind, workers):
    with pytest.raises(UsageError), cluster(kind, workers=workers):
        pass


def test_workers_share_the_free_memory():
    assert 0 < worker_memory_bytes(4) <= worker_memory_bytes(1) / 3


def test_progress_of_threads_counts_every_computation():
    record = Record()
    with cluster("none", workers=2), progress(record):
        work().compute()
        first = record.calls[-1]
        work().compute()
    assert first[0] == first[1] > 64
    assert record.calls[-1] == (2 * first[0], 2 * first[1])
    assert [done for done, _ in record.calls] == sorted(done for done, _ in record.calls)


def test_progress_without_a_receiver_does_nothing():
    with progress(None):
        assert work().compute() == 320_000


@pytest.mark.cluster
def test_local_cluster_computes_and_counts(client):
    record = Record()
    with progress(record, client):
        assert work().compute() == 320_000
    done, total = record.calls[-1]
    assert done == total > 64


@pytest.mark.cluster
def test_progress_leaves_no_plug_in_behind(client):
    with progress(Record(), client):
        pass

    def names(dask_scheduler=None):
        return [name for name in dask_scheduler.plugins if "s2cloud" in name]

    assert client.run_on_scheduler(names) == []


@pytest.mark.cluster
def test_errors_travel_from_workers_whole(client):
    with pytest.raises(InputError, match=r"damaged block: B02\. Fix: download it again"):
        da.ones(10).map_blocks(broken, dtype=float).compute()


@pytest.mark.cluster
def test_two_clusters_beside_one_another(client):
    with cluster("local", workers=1) as second:
        assert second is not None
        assert second.scheduler.address != client.scheduler.address
        assert second.submit(abs, -1).result() == 1


@pytest.mark.cluster
def test_settled_waits_for_tasks_nobody_wants_any_more(tmp_path):
    def late(path):
        time.sleep(1.0)
        path.touch()

    with cluster("local", workers=1) as client:
        assert client is not None
        future = client.submit(late, tmp_path / "late")
        while not any(client.processing().values()):
            time.sleep(0.05)
        time.sleep(0.2)
        future.release()
        settled(client)
        assert (tmp_path / "late").exists()
