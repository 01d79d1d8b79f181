"""What a strategy sees and what it answers: frozen values, no clock, no cluster."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "ClusterState",
    "Cost",
    "Placement",
    "Request",
    "Running",
    "SchedulingStrategy",
    "WorkerState",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a product is expected to take.

    Attributes
    ----------
    blocks
        18.3 km blocks, the pieces that may run side by side.
    bytes_read, bytes_written
        [byte]
    cpu_s
        CPU time of the blocks. [s]
    serial_s
        Time that does not spread: opening, the scene stage, the commit. [s]
    memory_bytes
        Peak of the memory, all workers together. [byte]
    """

    blocks: int = 1
    bytes_read: int = 0
    bytes_written: int = 0
    cpu_s: float = 0.0
    serial_s: float = 0.0
    memory_bytes: int = 0

    @property
    def work_s(self) -> float:
        """CPU time of everything. [s]."""
        return self.cpu_s + self.serial_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A product that waits to be made.

    Attributes
    ----------
    key
        Identity of the job.
    cost
        What it is expected to take.
    arrived
        When it was asked for. [s], same clock as `ClusterState.now`
    deadline
        When it should be done; infinite if it does not matter. [s]
    priority
        The greater, the sooner: 10 for near-real-time, 0 for reprocessing.
    owner
        Who pays; work is shared between owners by `FairShare`.
    tile, date
        MGRS tile and day of sensing: products that have them in common share auxiliary data.
    """

    key: str
    cost: Cost = field(default_factory=Cost)
    arrived: float = 0.0
    deadline: float = math.inf
    priority: int = 0
    owner: str = ""
    tile: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A worker process as a strategy sees it.

    Attributes
    ----------
    name
        Address or name.
    threads
        Tasks that it runs at once.
    memory_bytes
        Its limit. [byte]
    projected_bytes
        Part of it that running products are expected to need. [byte]
    products
        Keys of the products that are at home here.
    tiles, dates
        Tiles and days whose auxiliary data lie here.
    """

    name: str
    threads: int = 1
    memory_bytes: int = 0
    projected_bytes: int = 0
    products: tuple[str, ...] = ()
    tiles: frozenset[str] = frozenset()
    dates: frozenset[str] = frozenset()

    @property
    def free_bytes(self) -> int:
        """Memory that no running product is expected to need. [byte]."""
        return self.memory_bytes - self.projected_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A product that is being made.

    Attributes
    ----------
    request
        What was asked for.
    workers
        Where it is at home; empty if it spreads over all.
    started
        When it was admitted. [s]
    """

    request: Request
    workers: tuple[str, ...] = ()
    started: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """Everything else a decision may depend on.

    Attributes
    ----------
    now
        [s]
    workers
        Those that are alive and not on their way out, in the order of their names.
    running
        Products in flight.
    served
        CPU time given to each owner so far, running products included. [s]
    """

    now: float = 0.0
    workers: tuple[WorkerState, ...] = ()
    running: tuple[Running, ...] = ()
    served: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    """An answer: this product next, if it fits.

    Attributes
    ----------
    key
        Of a request that waits.
    prefer
        Workers it should be at home on, best first; empty leaves it to the admission.
    urgency
        Its block tasks run before those of products with less. It reaches dask as the priority.
    """

    key: str
    prefer: tuple[str, ...] = ()
    urgency: float = 0.0


@runtime_checkable
class SchedulingStrategy(Protocol):
    """Decides which of the waiting products come next.

    A strategy is pure: it reads frozen values, keeps nothing between calls, knows no clock and
    draws no random numbers, so the simulator and a live cluster get the same answers from the
    same object. Options go to its constructor.
    """

    @property
    def name(self) -> str:
        """Word that it is chosen by."""
        ...

    def place(self, waiting: Sequence[Request], cluster: ClusterState) -> Iterable[Placement]:
        """Rank products in the order in which they should start, each at most once.

        Parameters
        ----------
        waiting
            Products that could start now, in the order of their arrival.
        cluster
            State of the cluster.

        Returns
        -------
        Iterable of Placement
            Taken one by one until the cluster is full; a product that is left out waits.
        """
        ...
