"""What is known of products and workers at one moment, and books of it that forget."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Books", "ClusterFacts", "ProductFacts", "WorkerFacts"]

#: Books that nobody closed, since their client was killed, are dropped after so long. [s]
_STALE_S: Final = 86400.0


@dataclass(slots=True)
class ProductFacts:
    """What is known of the tasks of one product.

    Attributes
    ----------
    done, total
        Numbers of tasks.
    seconds
        Time that tasks ran, by stage. [s]
    retried
        Tasks that were repeated because their worker was lost.
    dispatch_s
        Time that free threads waited for tasks whose inputs were there: the way of a result to
        the scheduler, of the next task to the worker, of its inputs from other workers. [s]
    first, last
        When the first task began and the last one ended, clock of the workers; 0 before. [s]
    touched
        When something was counted last, clock of the scheduler. [s]
    """

    done: int = 0
    total: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    retried: int = 0
    dispatch_s: float = 0.0
    first: float = 0.0
    last: float = 0.0
    touched: float = 0.0

    @property
    def task_s(self) -> float:
        """Time that all tasks ran. [s]."""
        return sum(self.seconds.values())

    def add(self, stage: str, began: float, ended: float) -> None:
        """Count one task."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + ended - began
        self.first = min(self.first or began, began)
        self.last = max(self.last, ended)
        self.touched = time.time()


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A worker as the scheduler knows it.

    Attributes
    ----------
    name
        Address.
    threads, memory_limit
        Its size. [1], [byte]
    memory
        What its process uses. [byte]
    accepting
        Whether it takes new tasks: neither paused nor on its way out.
    """

    name: str
    threads: int
    memory_limit: int
    memory: int = 0
    accepting: bool = True


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """Books and workers at one moment.

    Attributes
    ----------
    workers
        All of them.
    products
        Facts of each try of a product that was not forgotten, by its mark.
    stages
        Time that tasks ran since the cluster began, by stage, forgotten products included. [s]
    """

    workers: tuple[WorkerFacts, ...]
    products: Mapping[str, ProductFacts]
    stages: Mapping[str, float] = field(default_factory=dict)


class Books:
    """Facts of products from their first task until they are forgotten.

    Size is bounded by what is under way, not by what was ever made: a cluster may live for months.
    """

    def __init__(self) -> None:
        self.products: dict[str, ProductFacts] = {}
        self._past: dict[str, float] = {}

    def opened(self, product: str) -> ProductFacts:
        """Facts of a product that is about to have tasks."""
        if product not in self.products:
            now = time.time()
            stale = [key for key, each in self.products.items() if now - each.touched > _STALE_S]
            self.forget(stale)
            self.products[product] = ProductFacts(touched=now)
        return self.products[product]

    def forget(self, products: Collection[str]) -> None:
        """Close the books of products; what comes late for them is not counted."""
        for product in products:
            facts = self.products.pop(product, None)
            for stage, seconds in facts.seconds.items() if facts is not None else ():
                self._past[stage] = self._past.get(stage, 0.0) + seconds

    def stages(self) -> dict[str, float]:
        """Time that tasks ran, by stage, of all products ever. [s]."""
        found = dict(self._past)
        for facts in self.products.values():
            for stage, seconds in facts.seconds.items():
                found[stage] = found.get(stage, 0.0) + seconds
        return found
