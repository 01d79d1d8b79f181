"""What may start now: a strategy proposes, memory and the number in flight dispose.

The live scheduler and the simulator both decide here, and only here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from s2cloud.scheduling.strategies.model import (
        ClusterState,
        Placement,
        Request,
        SchedulingStrategy,
        WorkerState,
    )

__all__ = ["Admission", "Limits", "admit", "fits_at_all", "largest_product"]

#: Products in flight per thread of the cluster where nothing else is asked for: one runs, and
#: the next is being opened while the first is committed.
PER_THREAD: Final = 1.25


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what runs at once.

    Attributes
    ----------
    in_flight
        Most products that run at once; by the threads of the cluster if None.
    patience_s
        A product that does not fit is overtaken by smaller ones until it has waited so long;
        then everything waits for it. [s]
    two_level
        Whether idle workers may take block tasks of products that are at home elsewhere.
    """

    in_flight: int | None = None
    patience_s: float = 600.0
    two_level: bool = True

    def bound(self, threads: int) -> int:
        """Most products that run at once on so many threads."""
        return self.in_flight or max(1, int(threads * PER_THREAD))


@dataclass(frozen=True, slots=True)
class Admission:
    """A product that starts now.

    Attributes
    ----------
    key
        Of the request.
    workers
        Where it is at home; its projected memory is shared out equally among them.
    urgency
        As the strategy wants it.
    """

    key: str
    workers: tuple[str, ...]
    urgency: float = 0.0


def largest_product(workers: Iterable[WorkerState], limits: Limits) -> int:
    """Most memory that a product may need to fit if nothing else runs. [byte], -1 for none."""
    return _largest((worker.memory_bytes for worker in workers), 1, limits)


def fits_at_all(request: Request, workers: Sequence[WorkerState], limits: Limits) -> bool:
    """Whether a product would fit if nothing else ran."""
    return request.cost.memory_bytes <= largest_product(workers, limits)


def admit(
    strategy: SchedulingStrategy,
    waiting: Sequence[Request],
    cluster: ClusterState,
    limits: Limits | None = None,
) -> list[Admission]:
    """Products that start now.

    Parameters
    ----------
    strategy
        Ranks what waits.
    waiting
        Products that could start, in the order of their arrival.
    cluster
        State of the cluster.
    limits
        Bounds.

    Returns
    -------
    list of Admission
        In the order of the strategy. No worker gets more than its memory, no product comes
        twice, and none that runs already.
    """
    bounds = limits or Limits()
    free = {worker.name: worker.free_bytes for worker in cluster.workers}
    load = {worker.name: len(worker.products) / worker.threads for worker in cluster.workers}
    threads = {worker.name: worker.threads for worker in cluster.workers}
    room = bounds.bound(sum(threads.values())) - len(cluster.running)
    if room <= 0 or not waiting or not free:
        return []
    running = {each.request.key for each in cluster.running}
    requests = {request.key: request for request in waiting if request.key not in running}
    spread = _spread(len(free), len(requests) + len(cluster.running), bounds)
    admitted: list[Admission] = []
    # A queue of thousands is passed over in no time once nothing of it fits any more.
    fits = _largest(free.values(), spread, bounds)
    ever = largest_product(cluster.workers, bounds)
    for placement in strategy.place(waiting, cluster):
        request = requests.get(placement.key)
        if request is None:
            continue
        if request.cost.memory_bytes <= fits:
            homes = _homes(request, placement, free, load, spread, bounds)
            del requests[request.key]
            admitted.append(Admission(request.key, homes, placement.urgency))
            share = _share(request, len(homes))
            for name in homes:
                free[name] -= share
                load[name] += 1.0 / (threads[name] * len(homes))
            if len(admitted) == room:
                break
            fits = _largest(free.values(), spread, bounds)
        elif (
            cluster.now - request.arrived > bounds.patience_s and request.cost.memory_bytes <= ever
        ):
            break
    return admitted


def _largest(free: Iterable[int], fewest: int, limits: Limits) -> int:
    """Most memory that a product may need to fit on that many workers or more, -1 for none.

    Each of its homes gives an equal share, so the smallest of them bounds it.
    """
    sizes = sorted(free, reverse=True)
    usable = sizes if limits.two_level else sizes[:1]
    fewest = min(fewest, len(usable))
    return max((size * n for n, size in enumerate(usable, start=1) if n >= fewest), default=-1)


def _spread(workers: int, products: int, limits: Limits) -> int:
    """Workers a product is at home on: all for one alone, one each where there are many."""
    return max(1, workers // max(1, products)) if limits.two_level else 1


def _share(request: Request, homes: int) -> int:
    return -(-request.cost.memory_bytes // homes)


def _homes(
    request: Request,
    placement: Placement,
    free: dict[str, int],
    load: dict[str, float],
    spread: int,
    limits: Limits,
) -> tuple[str, ...]:
    """Workers for a product that fits: as many as it should spread over, more for its memory."""
    liked = {name: place for place, name in enumerate(placement.prefer)}
    # A liked worker that is busy is worth a wait no longer than one product.
    ranked = sorted(
        free,
        key=lambda name: (
            load[name] >= 1.0 + (name in liked),
            liked.get(name, len(liked)),
            load[name],
            -free[name],
            name,
        ),
    )
    most = len(ranked) if limits.two_level else 1
    for count in range(min(spread, most), most + 1):
        share = _share(request, count)
        fitting = [name for name in ranked if free[name] >= share]
        if len(fitting) >= count:
            return tuple(fitting[:count])
    return ()
