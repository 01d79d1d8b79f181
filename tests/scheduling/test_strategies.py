"""Strategies: each by what it is for, and all by their contract."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint

import pytest
from typing_extensions import override

from s2cloud.model.errors import UsageError
from s2cloud.scheduling.admission import Limits, admit, fits_at_all
from s2cloud.scheduling.strategies import (
    ClusterState,
    Cost,
    EarliestDeadline,
    FairShare,
    Fifo,
    Locality,
    LongestFirst,
    Placement,
    Priority,
    Request,
    Running,
    ShortestFirst,
    WorkerState,
    registry,
    strategy,
    strategy_names,
)
from s2cloud.testing import StrategyContract


class TestFifo(StrategyContract):
    @override
    def strategy(self):
        return Fifo()


class TestPriority(StrategyContract):
    @override
    def strategy(self):
        return Priority()


class TestDeadline(StrategyContract):
    @override
    def strategy(self):
        return EarliestDeadline()


class TestShortest(StrategyContract):
    @override
    def strategy(self):
        return ShortestFirst()


class TestLongest(StrategyContract):
    @override
    def strategy(self):
        return LongestFirst()


class TestFair(StrategyContract):
    @override
    def strategy(self):
        return FairShare(weights={"a": 3.0})


class TestLocality(StrategyContract):
    @override
    def strategy(self):
        return Locality()


def request(key, **kw):
    cost = Cost(cpu_s=kw.pop("cpu", 10.0), memory_bytes=kw.pop("memory", 0))
    return Request(key=key, cost=cost, arrived=kw.pop("arrived", 0.0), **kw)


def order(chosen, waiting, **state):
    return "".join(p.key for p in chosen.place(waiting, ClusterState(**state)))


def test_fifo_is_by_arrival():
    waiting = [request("b", arrived=2), request("a", arrived=3), request("c", arrived=1)]
    assert order(Fifo(), waiting) == "cba"


def test_near_real_time_overtakes_reprocessing_in_queue_and_in_blocks():
    waiting = [request("r", arrived=0), request("n", arrived=9, priority=10)]
    placed = list(Priority().place(waiting, ClusterState()))
    assert [p.key for p in placed] == ["n", "r"]
    assert placed[0].urgency > placed[1].urgency


def test_deadlines_come_in_order_and_the_lost_go_last():
    waiting = [
        request("late", deadline=50),
        request("soon", deadline=120),
        request("later", deadline=500),
        request("any"),
    ]
    ranked = [p.key for p in EarliestDeadline().place(waiting, ClusterState(now=100))]
    assert ranked == ["soon", "later", "any", "late"]
    stubborn = EarliestDeadline(give_up=False).place(waiting, ClusterState(now=100))
    assert next(iter(stubborn)).key == "late"


def test_shortest_and_longest_are_opposites():
    waiting = [request("m", cpu=5), request("s", cpu=1), request("l", cpu=50)]
    assert order(ShortestFirst(), waiting) == "sml"
    assert order(LongestFirst(), waiting) == "lms"


def test_fair_share_alternates_between_owners_and_counts_what_was_served():
    waiting = [request(f"{o}{n}", owner=o, arrived=n) for o in "ab" for n in range(3)]
    ranked = [p.key for p in FairShare().place(waiting, ClusterState())]
    assert ranked == ["a0", "b0", "a1", "b1", "a2", "b2"]
    ranked = [p.key for p in FairShare().place(waiting, ClusterState(served={"a": 25.0}))]
    assert ranked[:3] == ["b0", "b1", "b2"]
    weighted = FairShare(weights={"a": 2.0}).place(waiting, ClusterState())
    assert [p.key for p in weighted][:3] == ["a0", "b0", "a1"]


def test_locality_prefers_what_lies_here_but_not_for_ever():
    worker = WorkerState(name="w", tiles=frozenset({"32TQM"}))
    waiting = [request("x", tile="33UUP", arrived=0), request("y", tile="32TQM", arrived=5)]
    placed = list(Locality().place(waiting, ClusterState(now=10, workers=(worker,))))
    assert [p.key for p in placed] == ["y", "x"]
    assert placed[0].prefer == ("w",)
    assert order(Locality(), waiting, now=4000, workers=(worker,)) == "xy"


GIB = 2**30


def workers(*sizes, **kw):
    return tuple(
        WorkerState(name=f"w{n}", memory_bytes=size * GIB, **kw) for n, size in enumerate(sizes)
    )


def test_a_lone_product_is_at_home_everywhere_and_many_one_per_worker():
    state = ClusterState(workers=workers(8, 8, 8, 8))
    assert admit(Fifo(), [request("a")], state)[0].workers == ("w0", "w1", "w2", "w3")
    many = admit(Fifo(), [request(str(n)) for n in range(9)], state, Limits(in_flight=4))
    assert [a.workers for a in many] == [("w0",), ("w1",), ("w2",), ("w3",)]
    alone = admit(Fifo(), [request("a")], state, Limits(two_level=False))
    assert len(alone[0].workers) == 1


def test_memory_is_shared_out_or_waited_for():
    state = ClusterState(workers=workers(4, 4))
    big, small = request("b", memory=6 * GIB), request("s", memory=GIB, arrived=1)
    first = admit(Fifo(), [big, small], state)
    assert [(a.key, len(a.workers)) for a in first] == [("b", 2), ("s", 1)]
    busy = ClusterState(workers=workers(4, 4, projected_bytes=2 * GIB))
    assert [a.key for a in admit(Fifo(), [big, small], busy)] == ["s"]


def test_nobody_overtakes_a_product_that_has_waited_long_enough():
    busy = ClusterState(now=700.0, workers=workers(4, projected_bytes=2 * GIB))
    big, small = request("b", memory=4 * GIB), request("s", memory=GIB, arrived=600.0)
    assert admit(Fifo(), [big, small], busy, Limits(patience_s=600)) == []
    hopeless = dataclasses.replace(big, cost=Cost(memory_bytes=99 * GIB))
    assert not fits_at_all(hopeless, busy.workers, Limits())
    assert [a.key for a in admit(Fifo(), [hopeless, small], busy)] == ["s"]


def test_what_runs_is_not_started_again():
    a = request("a")
    state = ClusterState(workers=workers(4), running=(Running(request=a),))
    assert admit(Fifo(), [a], state, Limits(in_flight=5)) == []


def test_registry_knows_all_and_refuses_others():
    assert strategy_names()[:2] == ["fifo", "priority"]
    assert {strategy(name).name for name in strategy_names()} >= set(registry._BUILT_IN)
    with pytest.raises(UsageError, match="unknown strategy"):
        strategy("astrology")
    with pytest.raises(UsageError, match="not a strategy"):
        strategy(object())  # type: ignore[arg-type]  # that is the test


def test_a_strategy_of_another_package_is_found_by_its_entry_point(monkeypatch):
    point = EntryPoint("mine", f"{__name__}:Reversed", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    monkeypatch.setattr(EntryPoint, "load", lambda self: Reversed)
    assert "mine" in strategy_names()
    waiting = [request("a"), request("b")]
    assert [p.key for p in strategy("mine").place(waiting, ClusterState())] == ["b", "a"]


def test_a_broken_package_is_named(monkeypatch):
    point = EntryPoint("broken", "nowhere_at_all:Nothing", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    with pytest.raises(UsageError, match="nowhere_at_all:Nothing"):
        strategy("broken")


class Reversed:
    """What somebody else might write."""

    name = "mine"

    def place(self, waiting, cluster):
        for each in reversed(list(waiting)):
            yield Placement(each.key)


class TestThirdParty(StrategyContract):
    @override
    def strategy(self):
        return Reversed()
