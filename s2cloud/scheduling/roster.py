"""The products of a batch by state, with the sums that are asked for many times a second.

A batch may have many thousand products, and each turn changes few of them. Whatever is told of
all of them is kept up to date here as single products change, and is never summed up anew.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, get_args

from s2cloud.scheduling.batch_events import Snapshot
from s2cloud.scheduling.runfile import ENDED, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from s2cloud.scheduling.ledger import ClusterFacts, ProductFacts
    from s2cloud.scheduling.runfile import Entry
    from s2cloud.scheduling.strategies import Cost, Request

__all__ = ["Roster"]

_QUEUED: Final[tuple[State, ...]] = ("new", "projecting", "waiting")


class Roster:
    """Products by key and by state.

    Parameters
    ----------
    entries
        Products; of those of equal key the first counts.

    Attributes
    ----------
    entries
        By key, in the order given.
    served
        CPU time given to each owner, tries that failed included. [s]
    stages
        Time of tasks by stage, likewise. [s]
    retries
        Tries beyond the first.
    bytes_written
        Of all products. [byte]
    changed
        Keys of what changed since somebody cleared this.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries: dict[str, Entry] = {}
        self.served: defaultdict[str, float] = defaultdict(float)
        self.stages: defaultdict[str, float] = defaultdict(float)
        self.retries = 0
        self.bytes_written = 0
        # Dictionaries keep the order in which products came to a state; sets do not.
        self._of: dict[State, dict[str, Entry]] = {state: {} for state in get_args(State)}
        self._work: defaultdict[State, float] = defaultdict(float)
        self._priced: Counter[State] = Counter()
        self._requests: dict[str, Request] = {}
        self._arrivals: list[tuple[float, str]] = []
        for entry in entries:
            if entry.key not in self.entries:
                self.entries[entry.key] = entry
                self._put(entry)
                self.served[entry.owner] += entry.task_s + entry.serial_s
                for stage, seconds in entry.stages.items():
                    self.stages[stage] += seconds
                self.retries += max(0, entry.tries - 1)
                self.bytes_written += entry.bytes_written
        self.changed = set(self.entries)

    # -- questions -----------------------------------------------------------------------------

    def of(self, *states: State) -> Iterator[Entry]:
        """Products of some states, those of each in the order in which they came to it."""
        for state in states:
            yield from self._of[state].values()

    def number(self, *states: State) -> int:
        """How many there are of them."""
        return sum(len(self._of[state]) for state in states)

    @property
    def all_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.number(*ENDED) == len(self.entries)

    def ready(self, now: float) -> list[Request]:
        """Products that could start now, as a strategy sees them."""
        found = []
        for entry in self._of["waiting"].values():
            if entry.not_before <= now:
                if entry.key not in self._requests:
                    self._requests[entry.key] = entry.request()
                found.append(self._requests[entry.key])
        return found

    def snapshot(self, facts: ClusterFacts, now: float) -> Snapshot:
        """The batch at a moment.

        Parameters
        ----------
        facts
            Workers and books.
        now
            Since the start of the batch. [s]
        """
        running = list(self.of("running"))
        counts = [_tasks(entry, facts) for entry in running]
        part = self._part(counts)
        return Snapshot(
            states={state: len(found) for state, found in self._of.items() if found},
            tasks={entry.name: count for entry, count in zip(running, counts, strict=True)},
            part=part,
            elapsed_s=now,
            eta_s=now * (1.0 - part) / part if part > 0 else math.nan,
            workers=sum(worker.accepting for worker in facts.workers),
            memory_bytes=sum(worker.memory for worker in facts.workers),
            projected_bytes=sum(e.cost.memory_bytes for e in running if e.cost is not None),
            queue_age_s=self._age(now),
            stages=dict(self.stages),
            retries=self.retries,
            bytes_written=self.bytes_written,
        )

    # -- changes -------------------------------------------------------------------------------

    def move(self, entry: Entry, state: State) -> None:
        """Let a product come to a state."""
        self._take(entry)
        entry.state = state
        self._put(entry)
        self.changed.add(entry.key)

    def price(self, entry: Entry, cost: Cost) -> None:
        """Take note of what a product is expected to take."""
        self._take(entry)
        entry.cost = cost
        self._put(entry)

    def began_try(self, entry: Entry) -> None:
        """Count a try; what the one before took is not this one's."""
        entry.tries += 1
        self.retries += entry.tries > 1
        entry.task_s, entry.serial_s, entry.dispatch_s, entry.stages = 0.0, 0.0, 0.0, {}
        entry.peak_bytes, entry.shared = 0, False

    def took(self, entry: Entry, facts: ProductFacts) -> None:
        """Take note of what the tasks of the present try of a product took so far."""
        for stage, seconds in facts.seconds.items():
            self.stages[stage] += seconds - entry.stages.get(stage, 0.0)
        self.served[entry.owner] += facts.task_s - entry.task_s
        entry.task_s, entry.stages = facts.task_s, dict(facts.seconds)
        entry.dispatch_s = facts.dispatch_s
        self.changed.add(entry.key)

    def wrote(self, entry: Entry, serial_s: float, bytes_written: int) -> None:
        """Take note of what the whole took besides its tasks."""
        self.served[entry.owner] += serial_s - entry.serial_s
        self.bytes_written += bytes_written - entry.bytes_written
        entry.serial_s, entry.bytes_written = serial_s, bytes_written
        self.changed.add(entry.key)

    # -- sums ----------------------------------------------------------------------------------

    def _put(self, entry: Entry) -> None:
        self._of[entry.state][entry.key] = entry
        if entry.state in _QUEUED:
            heapq.heappush(self._arrivals, (entry.arrived, entry.key))
        if entry.cost is not None:
            self._work[entry.state] += entry.cost.work_s
            self._priced[entry.state] += 1

    def _take(self, entry: Entry) -> None:
        self._requests.pop(entry.key, None)
        del self._of[entry.state][entry.key]
        if entry.cost is not None:
            self._work[entry.state] -= entry.cost.work_s
            self._priced[entry.state] -= 1

    def _age(self, now: float) -> float:
        """How long the oldest product of the queue waits; those that left it are dropped late."""
        while self._arrivals and self.entries[self._arrivals[0][1]].state not in _QUEUED:
            heapq.heappop(self._arrivals)
        return max(0.0, now - self._arrivals[0][0]) if self._arrivals else 0.0

    def _part(self, counts: list[tuple[int, int]]) -> float:
        """Share of the projected work that is done; products of unknown size count as the mean."""
        priced = sum(self._priced.values())
        mean = sum(self._work.values()) / priced if priced else 1.0

        def work(state: State) -> float:
            return self._work[state] + mean * (len(self._of[state]) - self._priced[state])

        whole = sum(work(state) for state in self._of if state != "found")
        done = work("done") + work("failed")
        for entry, (finished, total) in zip(self.of("running"), counts, strict=True):
            own = entry.cost.work_s if entry.cost is not None else mean
            done += own * finished / total if total else 0.0
        return min(1.0, done / whole) if whole > 0 else 1.0


def _tasks(entry: Entry, facts: ClusterFacts) -> tuple[int, int]:
    found = facts.products.get(entry.mark)
    return (min(found.done, found.total), found.total) if found is not None else (0, 0)
