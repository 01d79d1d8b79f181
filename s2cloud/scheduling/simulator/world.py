"""The world of a simulation: what is put in, what stands and runs in it, what comes out."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s2cloud.scheduling.strategies.model import Request

__all__ = ["Outcome", "Pool", "Product", "Task", "Weather", "Worker"]

#: Phases of a product.
HEAD, BLOCKS, TAIL, OVER = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Workers of one kind.

    Attributes
    ----------
    workers, threads
        Number, and threads of each.
    memory_bytes
        Of each. [byte]
    from_s, until_s
        When they join, and when they leave after ending what they run. [s]
    spot
        Whether they may be taken away.
    """

    workers: int = 1
    threads: int = 1
    memory_bytes: int = 16 * 2**30
    from_s: float = 0.0
    until_s: float = math.inf
    spot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What goes wrong, and what else the world does.

    Attributes
    ----------
    spot_loss_per_h
        Chance of a spot worker to be taken away, per hour. Another comes after `spot_back_s`.
    notice_s
        Notice that it gets: it takes no new tasks, and those that end in time are kept. [s]
    spot_back_s
        Until a lost worker is replaced. [s]
    failure
        Chance of a try of a product to fail at its end.
    tries
        Tries of a product.
    spread
        Of the logarithm of the time of a task around its mean.
    aux_s
        Time to fetch the auxiliary data of a tile to a worker that has none of it. [s]
    decide_s
        Least time between two decisions. [s]
    """

    spot_loss_per_h: float = 0.0
    notice_s: float = 120.0
    spot_back_s: float = 600.0
    failure: float = 0.0
    tries: int = 3
    spread: float = 0.15
    aux_s: float = 0.0
    decide_s: float = 0.0


@dataclass(slots=True)
class Outcome:
    """What happened.

    Attributes
    ----------
    requests
        The trace.
    strategy
        Name.
    finished
        Time at which each product was complete, by key. [s]
    failed
        Keys of products that ended without being made.
    placements
        Time, key and homes of every start.
    busy_s, lost_s
        Time of tasks, and the part of it that was lost with workers. [s]
    paid_s
        Time of threads that were there, by kind: ``steady`` and ``spot``. [s]
    overcommitted
        Moments at which a worker was projected beyond its memory; there are none.
    samples
        Time, products waiting, products running, busy threads, threads.
    """

    requests: Sequence[Request]
    strategy: str
    finished: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    placements: list[tuple[float, str, tuple[str, ...]]] = field(default_factory=list)
    busy_s: float = 0.0
    lost_s: float = 0.0
    paid_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    overcommitted: int = 0
    samples: list[tuple[float, int, int, int, int]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Worker:
    """A worker process that is there, or was."""

    name: str
    pool: Pool
    since: float
    free: int
    alive: bool = True
    accepting: bool = True
    homes: dict[str, Product] = field(default_factory=dict)
    tasks: dict[int, Task] = field(default_factory=dict)
    tiles: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)
    projected: int = 0


@dataclass(slots=True, eq=False)
class Product:
    """A try of a product under way: opened and coordinated, then its blocks, then committed."""

    request: Request
    homes: tuple[Worker, ...]
    urgency: float
    order: int
    started: float
    head_at: Worker
    phase: int = HEAD
    ready: int = 1
    running: int = 0

    def __lt__(self, other: Product) -> bool:
        return (-self.urgency, self.order) < (-other.urgency, other.order)


@dataclass(slots=True, eq=False)
class Task:
    """A block that a thread works on."""

    product: Product
    worker: Worker
    began: float
    number: int
