"""Products on a cluster: begun when there is memory for them, broken off when asked to."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from s2cloud.io.receipt import existing_receipt
from s2cloud.model.errors import S2CloudError, UnavailableError
from s2cloud.scheduling.jobs import Job
from s2cloud.scheduling.ledger import ClusterFacts, WorkerFacts
from s2cloud.scheduling.products import Made
from s2cloud.scheduling.strategies import Cost
from s2cloud.service import runner
from s2cloud.service.runner import ClusterMaker
from s2cloud.service.settings import ClusterSettings
from s2cloud.simulation.product import simulate_l1c

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from s2cloud.scheduling.executors import Executor


def until(true: Callable[[], bool], within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "not within the time given"
        time.sleep(0.01)


class Held:
    """A cluster of one worker whose products end when they are told to."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.begun: dict[str, Any] = {}

    def facts(self) -> ClusterFacts:
        return ClusterFacts((WorkerFacts("one", 4, self.memory),), {})

    def make(self, job: Job, admission: Any, mark: str, make: Any, on_end: Any) -> None:
        assert admission.workers == ("one",)

        def end() -> None:
            on_end(Made(key=job.key, destination="d"), None)

        self.begun[job.source] = end
        # A test that fails must not wait for what nobody ends any more.
        late = threading.Timer(20.0, end)
        late.daemon = True
        late.start()

    def forget(self, mark: str) -> None:
        """No books are kept."""


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> tuple[ClusterMaker, Held]:
    sizes = {"small": 4, "other": 5, "large": 8, "huge": 30}
    monkeypatch.setattr(
        runner, "project", lambda job: SimpleNamespace(cost=Cost(memory_bytes=sizes[job.source]))
    )
    monkeypatch.setattr(runner, "LOOK_S", 0.05)
    maker, cluster = ClusterMaker(ClusterSettings()), Held(10)
    maker._executor = cast("Executor", cluster)
    return maker, cluster


def test_products_begin_when_there_is_memory_for_them_beside_the_others(held: Any):
    maker, cluster = held
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(maker, Job("large", "d"))
        until(lambda: "large" in cluster.begun)
        small = threads.submit(maker, Job("small", "d"))
        time.sleep(0.3)
        assert list(cluster.begun) == ["large"], "8 of 10 are taken, 4 do not fit"
        assert maker.facts()[1] == 8
        cluster.begun["large"]()
        until(lambda: "small" in cluster.begun)
        other = threads.submit(maker, Job("other", "d"))
        until(lambda: "other" in cluster.begun)
        assert maker.facts()[1] == 9
        for name in ("small", "other"):
            cluster.begun[name]()
        assert [each.result(10).destination for each in (first, small, other)] == ["d"] * 3
    assert maker.facts()[1] == 0


def test_what_needs_more_than_there_is_begins_alone(held: Any, caplog: pytest.LogCaptureFixture):
    maker, cluster = held
    with ThreadPoolExecutor(2) as threads, caplog.at_level(logging.WARNING):
        small = threads.submit(maker, Job("small", "d"))
        until(lambda: "small" in cluster.begun)
        huge = threads.submit(maker, Job("huge", "d"))
        time.sleep(0.3)
        assert "huge" not in cluster.begun
        cluster.begun["small"]()
        until(lambda: "huge" in cluster.begun)
        cluster.begun["huge"]()
        assert huge.result(10).destination == small.result(10).destination
    assert "more than there is" in caplog.text


def test_product_that_waits_for_memory_can_be_cancelled(held: Any):
    maker, cluster = held
    with ThreadPoolExecutor(2) as threads:
        large = threads.submit(maker, Job("large", "d"))
        until(lambda: "large" in cluster.begun)
        small = threads.submit(maker, Job("small", "d"))
        until(lambda: len(maker._waiting) == 1)
        maker.cancel(Job("small", "d"))
        with pytest.raises(UnavailableError, match="not begun"):
            small.result(10)
        cluster.begun["large"]()
        assert large.result(10).key


@pytest.mark.parametrize("kind", ["threads", pytest.param("local", marks=pytest.mark.cluster)])
def test_product_is_broken_off_and_made_later(tmp_path: Path, kind: str):
    l1c = simulate_l1c(tmp_path / "l1c", size=96)
    job = Job(l1c.uri, str(tmp_path / "l2a"), formats=("cog",))
    maker = ClusterMaker(ClusterSettings(kind=kind, workers=1))
    assert maker.ready()
    try:
        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(maker, job)
            until(lambda: any(p.done for p in maker.facts()[0].products.values()) or running.done())
            maker.cancel(job)
            with pytest.raises(Exception, match="cancelled") as caught:
                running.result(60)
        assert isinstance(caught.value, S2CloudError) or "Cancelled" in type(caught.value).__name__
        products = list((tmp_path / "l2a").glob("S2A*"))
        assert all(existing_receipt(str(product)) is None for product in products)
        made = maker(job)
        assert not made.found
        assert existing_receipt(made.destination) is not None
    finally:
        # In the thread that opened it: the client of a cluster is the default of its own thread.
        maker.close()
