"""Contracts for other people's parts: inherit a class, name the part, run pytest.

Needs Hypothesis, as the tests of s2cloud do.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2cloud.scheduling.admission import Limits, admit
from s2cloud.scheduling.strategies.model import (
    ClusterState,
    Cost,
    Request,
    Running,
    SchedulingStrategy,
    WorkerState,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["StrategyContract", "cluster_states", "requests"]

_GIB = 2**30
#: The tests of a contract run in each class that inherits them; that is their purpose.
_SETTINGS = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.differing_executors]
)
_TILES = ("32TQM", "32TQL", "33UUP", "")
_DATES = ("2025-06-15", "2025-06-16", "")


def requests(most: int = 12) -> st.SearchStrategy[list[Request]]:
    """Lists of requests that wait, of any kind and size."""
    costs = st.builds(
        Cost,
        blocks=st.integers(1, 36),
        cpu_s=st.floats(0, 1e4),
        serial_s=st.floats(0, 1e3),
        memory_bytes=st.integers(0, 16 * _GIB),
    )
    one = st.builds(
        Request,
        key=st.integers(0, 10**6).map(str),
        cost=costs,
        arrived=st.floats(0, 1e5),
        deadline=st.one_of(st.just(math.inf), st.floats(0, 2e5)),
        priority=st.integers(-5, 10),
        owner=st.sampled_from(["", "a", "b", "c"]),
        tile=st.sampled_from(_TILES),
        date=st.sampled_from(_DATES),
    )
    return st.lists(one, max_size=most, unique_by=lambda request: request.key)


@st.composite
def cluster_states(draw: Any) -> ClusterState:
    """States of clusters of up to six workers, some of them busy."""
    workers = tuple(
        WorkerState(
            name=f"w{number}",
            threads=draw(st.integers(1, 4)),
            memory_bytes=(limit := draw(st.integers(1, 16)) * _GIB),
            projected_bytes=draw(st.integers(0, limit)),
            tiles=draw(st.frozensets(st.sampled_from(_TILES[:-1]))),
            dates=draw(st.frozensets(st.sampled_from(_DATES[:-1]))),
        )
        for number in range(draw(st.integers(0, 6)))
    )
    running = tuple(
        Running(request=Request(key=f"running-{number}"), workers=())
        for number in range(draw(st.integers(0, 3)))
    )
    served = draw(st.dictionaries(st.sampled_from(["", "a", "b"]), st.floats(0, 1e6)))
    now = draw(st.floats(0, 2e5))
    return ClusterState(now=now, workers=workers, running=running, served=served)


class StrategyContract:
    """What every strategy must keep, built in or brought along.

    Examples
    --------
    >>> class TestMine(StrategyContract):
    ...     def strategy(self):
    ...         return Mine()
    """

    def strategy(self) -> SchedulingStrategy:
        """The strategy to test; override it."""
        raise NotImplementedError

    def test_it_has_a_name_and_a_place(self) -> None:
        """It is what the registry accepts."""
        found = self.strategy()
        assert isinstance(found, SchedulingStrategy)
        assert found.name

    @given(waiting=requests(), cluster=cluster_states())
    @_SETTINGS
    def test_each_product_is_placed_at_most_once_and_none_is_invented(
        self, waiting: list[Request], cluster: ClusterState
    ) -> None:
        """Placements name waiting products, each once, and workers that exist."""
        keys = [placement.key for placement in self.strategy().place(waiting, cluster)]
        assert len(keys) == len(set(keys))
        assert set(keys) <= {request.key for request in waiting}
        names = {worker.name for worker in cluster.workers}
        for placement in self.strategy().place(waiting, cluster):
            assert set(placement.prefer) <= names
            assert math.isfinite(placement.urgency)

    @given(waiting=requests(), cluster=cluster_states())
    @_SETTINGS
    def test_decisions_are_pure(self, waiting: list[Request], cluster: ClusterState) -> None:
        """The same input gets the same answer, and is left as it was."""
        kept = copy.deepcopy((waiting, cluster))
        one = self.strategy()
        first = list(one.place(waiting, cluster))
        assert first == list(one.place(waiting, cluster))
        assert first == list(self.strategy().place(waiting, cluster))
        assert kept == (waiting, cluster)

    @given(waiting=requests(), cluster=cluster_states())
    @_SETTINGS
    def test_an_empty_cluster_that_could_take_all_gets_something(
        self, waiting: list[Request], cluster: ClusterState
    ) -> None:
        """Nobody starves: on an idle cluster with room for any product one of them starts."""
        if not waiting:
            return
        need = max(request.cost.memory_bytes for request in waiting)
        big = WorkerState(name="big", threads=2, memory_bytes=need)
        idle = ClusterState(now=cluster.now, workers=(big,))
        assert self._admitted(waiting, idle)

    @given(waiting=requests(), cluster=cluster_states(), most=st.integers(1, 5))
    @_SETTINGS
    def test_admission_keeps_to_memory_and_number(
        self, waiting: list[Request], cluster: ClusterState, most: int
    ) -> None:
        """No worker gets more than its memory, and no more run than may."""
        admitted = self._admitted(waiting, cluster, Limits(in_flight=most))
        assert len(admitted) <= max(0, most - len(cluster.running))
        costs = {request.key: request.cost.memory_bytes for request in waiting}
        used = {worker.name: worker.projected_bytes for worker in cluster.workers}
        for admission in admitted:
            for name in admission.workers:
                used[name] += -(-costs[admission.key] // len(admission.workers))
        for worker in cluster.workers:
            assert used[worker.name] <= worker.memory_bytes

    def _admitted(
        self, waiting: Sequence[Request], cluster: ClusterState, limits: Limits | None = None
    ) -> list[Any]:
        return admit(self.strategy(), waiting, cluster, limits)
