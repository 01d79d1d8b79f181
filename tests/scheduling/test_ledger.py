"""The books: what they count, and that they forget."""

from __future__ import annotations

import types

import dask
import pytest

from s2cloud.scheduling import books as books_module
from s2cloud.scheduling.batch import Batch
from s2cloud.scheduling.books import Books
from s2cloud.scheduling.cluster import cluster
from s2cloud.scheduling.executors import executor_for
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.lanes import Lanes
from s2cloud.scheduling.ledger import PRODUCT, Ledger, _read
from s2cloud.scheduling.products import Made
from s2cloud.scheduling.projection import Projection
from s2cloud.scheduling.strategies import Cost


class Scheduler:
    """As much of dask's as the books look at."""

    def __init__(self):
        self.tasks = {}
        self.workers = {}
        self.plugins = {}


def task(key, product, *inputs):
    return types.SimpleNamespace(key=key, annotations={PRODUCT: product}, dependencies=inputs)


def transitions(book, product, count):
    """A product of so many tasks, from their first to their last transition."""
    span = {"action": "compute", "start": 10.0, "stop": 12.0}
    for number in range(count):
        key = f"decode-{product}-{number}"
        book.scheduler.tasks[key] = task(key, product)
        book.transition(key, "released", "waiting")
        book.transition(key, "waiting", "processing")
        book.transition(key, "processing", "memory", startstops=[span])


@pytest.fixture
def book():
    found = Ledger()
    found.scheduler = Scheduler()
    found.scheduler.plugins["s2cloud-ledger"] = found
    return found


def test_the_books_of_a_scheduler_stay_flat_over_a_thousand_products(book):
    sizes = set()
    for number in range(1000):
        mark = f"job.{number}"
        transitions(book, mark, 3)
        facts = _read(book.scheduler, forget=[])
        assert facts is not None
        assert (facts.products[mark].done, facts.products[mark].total) == (3, 3)
        assert facts.products[mark].task_s == pytest.approx(6.0)
        _read(book.scheduler, forget=[mark])
        book.transition(f"decode-{mark}-0", "memory", "released")  # late news of it
        sizes.add(len(book.books.products))
    assert sizes == {0}
    assert sum(book.books.stages().values()) == pytest.approx(6000.0)
    assert len(book.books.stages()) < 1000


def test_books_that_nobody_closes_are_dropped_after_a_day(monkeypatch):
    now = [1e9]
    monkeypatch.setattr(books_module, "time", types.SimpleNamespace(time=lambda: now[0]))
    books = Books()
    for number in range(500):
        books.opened(f"job.{number}").add("decode", 0.0, 1.0)
        now[0] += 3600.0
    assert len(books.products) <= 26
    assert sum(books.stages().values()) == pytest.approx(500.0)


def known(job):
    return Projection(product=job.source, tile="", date="", megapixels=1.0, cost=Cost(cpu_s=1.0))


def work(number):
    return number


def make(job, settle=None):
    dask.compute([dask.delayed(work)(n) for n in range(4)])
    return Made(key=job.key, destination="memory://out/a", serial_s=0.1)


@pytest.mark.parametrize("kind", ["threads", pytest.param("local", marks=pytest.mark.cluster)])
def test_after_a_batch_nothing_is_left_but_what_stages_took(kind):
    jobs = [Job(f"memory://in/{n}", "memory://out") for n in range(30)]
    with cluster(kind, workers=2 if kind == "threads" else 1) as client:
        batch = Batch(jobs, make=make, projected=known)
        with executor_for(client) as executor:
            entries = batch.run(executor)
            assert [entry.state for entry in entries] == ["done"] * 30
            assert all(entry.task_s > 0 for entry in entries)
            after = executor.facts()
    assert after.products == {}
    assert sum(after.stages.values()) == pytest.approx(sum(e.task_s for e in entries))


def ran(book, made, began, ended):
    book.scheduler.tasks[made.key] = made
    book.transition(made.key, "released", "waiting")
    span = {"action": "compute", "start": began, "stop": ended}
    book.transition(made.key, "processing", "memory", worker="w", startstops=[span])


def test_time_in_which_a_free_thread_waits_for_a_task_that_could_run_is_counted(book):
    book.scheduler.workers["w"] = types.SimpleNamespace(nthreads=1)
    first = task("a-1", "job.1")
    ran(book, first, 10.0, 12.0)
    ran(book, task("b-1", "job.1", first), 12.5, 13.0)  # half a second on its way
    other = task("a-2", "job.2", first)
    ran(book, other, 13.0, 20.0)  # was ready long before, but the thread was busy
    ran(book, task("b-2", "job.2", other), 20.25, 21.0)
    books = book.books.products
    assert books["job.1"].dispatch_s == pytest.approx(0.5)
    assert books["job.2"].dispatch_s == pytest.approx(0.25)
    assert books["job.1"].task_s == pytest.approx(2.5)


def test_a_thread_that_has_nothing_to_do_does_not_wait():
    lanes = Lanes()
    assert lanes.idle_before("w", 2, began=10.0, ended=11.0, ready=10.0) == 0.0
    assert lanes.idle_before("w", 2, began=10.5, ended=20.0, ready=10.5) == 0.0
    # A chain on one thread beside a long task on the other.
    for began in (11.1, 12.1, 13.1):
        idle = lanes.idle_before("w", 2, began=began, ended=began + 0.9, ready=began - 0.1)
        assert idle == pytest.approx(0.1)
    lanes.remove("w")
    assert lanes.idle_before("w", 2, began=30.0, ended=31.0, ready=29.0) == pytest.approx(1.0)
