"""The strategies that come with s2cloud."""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from s2cloud.scheduling.strategies.model import ClusterState, Placement, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "EarliestDeadline",
    "FairShare",
    "Fifo",
    "Locality",
    "LongestFirst",
    "Priority",
    "ShortestFirst",
]


def _age(request: Request) -> tuple[float, str]:
    """Order of arrival; keys settle ties, so that the order is one in every process."""
    return (request.arrived, request.key)


@dataclass(frozen=True, slots=True)
class Fifo:
    """First come, first served."""

    name: str = "fifo"

    def place(self, waiting: Sequence[Request], cluster: ClusterState) -> Iterator[Placement]:  # noqa: ARG002
        """By arrival."""
        for request in sorted(waiting, key=_age):
            yield Placement(request.key)


@dataclass(frozen=True, slots=True)
class Priority:
    """Near-real-time before reprocessing, also among the block tasks of running products."""

    name: str = "priority"

    def place(self, waiting: Sequence[Request], cluster: ClusterState) -> Iterator[Placement]:  # noqa: ARG002
        """By priority, then by arrival."""
        for request in sorted(waiting, key=lambda r: (-r.priority, *_age(r))):
            yield Placement(request.key, urgency=request.priority)


@dataclass(frozen=True, slots=True)
class EarliestDeadline:
    """What is due first comes first; products without a deadline fill the gaps.

    Attributes
    ----------
    give_up
        Products that cannot meet their deadline any more go behind all that can: under overload
        plain deadline order serves the lost ones first and loses the others too.
    """

    give_up: bool = True
    name: str = "deadline"

    def place(self, waiting: Sequence[Request], cluster: ClusterState) -> Iterator[Placement]:
        """By deadline, then by arrival."""

        def rank(request: Request) -> tuple[bool, float, float, str]:
            soonest = cluster.now + request.cost.serial_s
            lost = self.give_up and request.deadline < soonest
            return (lost, request.deadline, *_age(request))

        for request in sorted(waiting, key=rank):
            finite = math.isfinite(request.deadline)
            # Minutes: priorities of dask compare across products that arrive hours apart.
            yield Placement(request.key, urgency=-request.deadline / 60.0 if finite else -1e12)


@dataclass(frozen=True, slots=True)
class ShortestFirst:
    """Least work first: the mean time to completion is the least of all orders."""

    name: str = "shortest"

    def place(self, waiting: Sequence[Request], cluster: ClusterState) -> Iterator[Placement]:  # noqa: ARG002
        """By projected CPU time."""
        for request in sorted(waiting, key=lambda r: (r.cost.work_s, *_age(r))):
            yield Placement(request.key)


@dataclass(frozen=True, slots=True)
class LongestFirst:
    """Most work first: a large product that starts last would end alone.

    References
    ----------
    Graham, R. L., 1969. Bounds on multiprocessing timing anomalies. SIAM J. Appl. Math. 17(2).
    https://doi.org/10.1137/0117039
    """

    name: str = "longest"

    def place(self, waiting: Sequence[Request], cluster: ClusterState) -> Iterator[Placement]:  # noqa: ARG002
        """By projected CPU time, the greatest first."""
        for request in sorted(waiting, key=lambda r: (-r.cost.work_s, *_age(r))):
            yield Placement(request.key, urgency=request.cost.work_s)


@dataclass(frozen=True, slots=True)
class FairShare:
    """The owner who was served least, measured by weight, comes next.

    Attributes
    ----------
    weights
        Share of each owner, 1 for those not named.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    name: str = "fair"

    def place(self, waiting: Sequence[Request], cluster: ClusterState) -> Iterator[Placement]:
        """By CPU time given to the owner; what is placed counts at once."""
        queues: dict[str, list[Request]] = defaultdict(list)
        for request in sorted(waiting, key=_age, reverse=True):
            queues[request.owner].append(request)
        heap = [(self._share(owner, cluster.served.get(owner, 0.0)), owner) for owner in queues]
        heapq.heapify(heap)
        while heap:
            share, owner = heapq.heappop(heap)
            request = queues[owner].pop()
            yield Placement(request.key)
            if queues[owner]:
                heapq.heappush(heap, (share + self._share(owner, request.cost.work_s), owner))

    def _share(self, owner: str, seconds: float) -> float:
        return seconds / self.weights.get(owner, 1.0)


@dataclass(frozen=True, slots=True)
class Locality:
    """Products of one tile, then of one day, follow one another on the same workers.

    They share auxiliary data: elevation and land cover by tile, aerosol forecasts by day, which
    the workers keep.

    Attributes
    ----------
    patience_s
        A product that has waited longer goes first wherever there is room. [s]
    """

    patience_s: float = 3600.0
    name: str = "locality"

    def place(self, waiting: Sequence[Request], cluster: ClusterState) -> Iterator[Placement]:
        """By what the workers have already, then by tile and day."""
        tiles: dict[str, list[str]] = defaultdict(list)
        dates: dict[str, list[str]] = defaultdict(list)
        for worker in cluster.workers:
            for tile in worker.tiles:
                tiles[tile].append(worker.name)
            for date in worker.dates:
                dates[date].append(worker.name)
        by_age = sorted(waiting, key=_age)
        first: dict[str, float] = {}
        for request in by_age:
            first.setdefault(request.tile, request.arrived)

        def rank(request: Request) -> tuple[object, ...]:
            waited = cluster.now - request.arrived > self.patience_s
            if waited:
                return (0, request.arrived)
            known = 1 if request.tile in tiles else 2 if request.date in dates else 3
            return (known, first[request.tile], request.tile)

        for request in sorted(by_age, key=rank):  # a sort keeps the order of equals
            prefer = dict.fromkeys([*tiles.get(request.tile, ()), *dates.get(request.date, ())])
            yield Placement(request.key, prefer=tuple(prefer))
