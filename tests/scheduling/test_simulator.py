"""The simulator: nothing twice, nothing beyond memory, the same for the same seed."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2cloud.model.errors import CapacityError, InputError, UsageError
from s2cloud.scheduling.admission import Limits
from s2cloud.scheduling.plan import Prices
from s2cloud.scheduling.simulator import (
    Pool,
    Weather,
    constellation_day,
    metrics_of,
    read_trace,
    simulate,
    table,
)
from s2cloud.scheduling.strategies import Cost, Fifo, LongestFirst, Request, strategy
from s2cloud.scheduling.strategies.registry import _BUILT_IN
from s2cloud.testing import requests

GIB = 2**30
CALM = Weather(spread=0.0)


def request(key, cpu=0.0, serial=0.0, blocks=1, memory=0, **kw):
    cost = Cost(cpu_s=cpu, serial_s=serial, blocks=blocks, memory_bytes=memory)
    return Request(key=key, cost=cost, **kw)


def makespan(trace, pools, **kw):
    return max(simulate(trace, pools, Fifo(), **{"weather": CALM, **kw}).finished.values())


def test_a_lone_product_spreads_over_all_workers():
    lone = [request("a", cpu=100.0, serial=10.0, blocks=10)]
    assert makespan(lone, [Pool(workers=1)]) == pytest.approx(110.0)
    assert makespan(lone, [Pool(workers=5, threads=2)]) == pytest.approx(20.0)
    alone = Limits(two_level=False)
    assert makespan(lone, [Pool(workers=5, threads=2)], limits=alone) == pytest.approx(60.0)


def test_many_products_run_one_per_worker():
    many = [request(str(n), cpu=10.0, blocks=4) for n in range(8)]
    outcome = simulate(many, [Pool(workers=4)], Fifo(), limits=Limits(in_flight=4), weather=CALM)
    assert max(outcome.finished.values()) == pytest.approx(20.0)
    assert {len(homes) for _, _, homes in outcome.placements[:4]} == {1}
    assert len({homes for _, _, homes in outcome.placements[:4]}) == 4


def test_two_levels_shorten_the_tail_of_a_late_large_product():
    trace = [request(f"s{n}", cpu=20.0, serial=1.0) for n in range(16)]
    trace.append(request("large", cpu=200.0, serial=5.0, blocks=36, arrived=30.0))
    pools = [Pool(workers=4)]
    assert makespan(trace, pools) < 0.7 * makespan(trace, pools, limits=Limits(two_level=False))


def test_nothing_starts_beyond_memory():
    trace = [request(str(n), cpu=10.0, memory=6 * GIB) for n in range(4)]
    pools = [Pool(workers=1, threads=4, memory_bytes=8 * GIB)]
    outcome = simulate(trace, pools, Fifo(), weather=CALM)
    assert max(outcome.finished.values()) == pytest.approx(40.0)
    assert outcome.overcommitted == 0


def test_what_fits_nowhere_ends_and_the_others_are_made():
    trace = [request("big", cpu=1.0, memory=99 * GIB), request("small", cpu=1.0)]
    outcome = simulate(trace, [Pool(memory_bytes=GIB)], Fifo(), weather=CALM)
    assert outcome.failed == ["big"]
    assert set(outcome.finished) == {"small"}


def test_a_worker_that_leaves_hands_over_and_one_that_never_comes_back_is_said():
    trace = [request(str(n), cpu=30.0, blocks=3) for n in range(4)]
    stays = [Pool(), Pool(until_s=15.0)]
    outcome = simulate(trace, stays, Fifo(), weather=CALM)
    assert len(outcome.finished) == 4
    assert outcome.paid_s["steady"] == pytest.approx(max(outcome.finished.values()) + 20.0)
    with pytest.raises(CapacityError, match="workers left"):
        simulate(trace, [Pool(until_s=15.0)], Fifo(), weather=CALM)


def test_spot_workers_are_lost_and_everything_is_made_all_the_same():
    trace = [request(str(n), cpu=600.0, serial=30.0, blocks=6) for n in range(30)]
    pools = [Pool(), Pool(workers=4, spot=True)]
    weather = Weather(spot_loss_per_h=6.0, notice_s=20.0, spot_back_s=60.0)
    outcome = simulate(trace, pools, Fifo(), weather=weather)
    assert len(outcome.finished) == 30
    assert outcome.lost_s > 0
    assert len(outcome.placements) > 30
    assert outcome.paid_s["spot"] > 0


def test_failures_are_tried_again_so_often():
    trace = [request(str(n), cpu=1.0) for n in range(40)]
    outcome = simulate(trace, [Pool(workers=4)], Fifo(), weather=Weather(failure=0.5, tries=2))
    assert 0 < len(outcome.failed) < 40
    assert len(outcome.failed) + len(outcome.finished) == 40
    tries = [key for _, key, _ in outcome.placements]
    assert max(tries.count(key) for key in outcome.failed) == 2


def test_auxiliary_data_are_fetched_once_per_tile_and_worker():
    trace = [request(str(n), serial=1.0, tile="32TQM", arrived=n) for n in range(3)]
    weather = Weather(spread=0.0, aux_s=10.0)
    outcome = simulate(trace, [Pool()], Fifo(), weather=weather)
    assert max(outcome.finished.values()) == pytest.approx(13.0)


@given(
    trace=requests(10),
    name=st.sampled_from(sorted(_BUILT_IN)),
    sizes=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 16)), min_size=1, max_size=3),
    seed=st.integers(0, 3),
    spot=st.booleans(),
    two_level=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_each_product_ends_once_within_memory_and_deterministically(
    trace, name, sizes, seed, spot, two_level
):
    trace = [dataclasses.replace(each, arrived=each.arrived / 10) for each in trace]
    pools = [Pool(threads=threads, memory_bytes=size * GIB) for threads, size in sizes]
    pools.append(Pool(workers=2, memory_bytes=GIB, spot=spot))
    weather = Weather(spot_loss_per_h=1.0, failure=0.1)
    limits = Limits(two_level=two_level)
    outcome = simulate(trace, pools, strategy(name), limits=limits, weather=weather, seed=seed)
    assert sorted([*outcome.finished, *outcome.failed]) == sorted(each.key for each in trace)
    assert outcome.overcommitted == 0
    arrivals = {each.key: each.arrived for each in trace}
    assert all(when >= arrivals[key] - 1e-9 for when, key, _ in outcome.placements)
    again = simulate(trace, pools, strategy(name), limits=limits, weather=weather, seed=seed)
    assert again.finished == outcome.finished
    assert again.placements == outcome.placements


def test_a_day_has_its_tiles_in_bursts_and_is_the_same_for_a_seed():
    day = constellation_day(3000, reprocessing=50, seed=7)
    assert day == constellation_day(3000, reprocessing=50, seed=7)
    assert day != constellation_day(3000, reprocessing=50, seed=8)
    assert len(day) == 3050
    owners = [each.owner for each in day]
    assert 200 < owners.count("nrt") < 400
    hours = [0] * 48
    for each in day[50:]:
        hours[min(47, int(each.arrived // 3600))] += 1
    assert max(hours) > 2 * 3000 / 24  # bursts
    assert all(math.isinf(each.deadline) for each in day if each.owner == "archive")


def test_strategies_do_what_they_are_for_on_a_busy_day():
    day = constellation_day(400, urgent=0.2, reprocessing=200, seed=3)
    pools = [Pool(workers=2)]
    weather = Weather(decide_s=5.0)
    rows = {
        name: metrics_of(simulate(day, pools, strategy(name), weather=weather), Prices())
        for name in ("fifo", "priority", "deadline", "shortest", "fair")
    }
    assert all(row.products == 600 for row in rows.values())
    assert rows["priority"].urgent_p95_min < rows["fifo"].urgent_p95_min
    assert rows["deadline"].misses < rows["fifo"].misses
    assert rows["shortest"].mean_min < rows["fifo"].mean_min
    assert rows["fair"].cost == pytest.approx(rows["fair"].paid_h * Prices().core_hour)
    assert table(list(rows.values())).count("\n") == 6


def test_longest_first_ends_sooner_than_longest_last():
    trace = [request(str(n), cpu=10.0) for n in range(8)] + [request("long", cpu=40.0)]
    limits = Limits(in_flight=2, two_level=False)
    ends = [
        max(simulate(trace, [Pool(workers=2)], s, limits=limits, weather=CALM).finished.values())
        for s in (Fifo(), LongestFirst())
    ]
    assert ends == [pytest.approx(80.0), pytest.approx(60.0)]


def test_nonsense_is_refused(tmp_path):
    with pytest.raises(UsageError):
        constellation_day(0)
    with pytest.raises(UsageError):
        simulate([], [], Fifo())
    with pytest.raises(UsageError, match="two products"):
        simulate([request("a"), request("a")], [Pool()], Fifo())
    path = tmp_path / "run.json"
    path.write_text('{"products": []}')
    with pytest.raises(InputError, match="without a product"):
        read_trace(str(path))
    path.write_text("[]")
    with pytest.raises(InputError, match="not a run file"):
        read_trace(str(path))
