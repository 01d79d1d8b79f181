"""Many products on one cluster: started by a strategy, followed, tried again, accounted for."""

from __future__ import annotations

import logging
import math
import queue
import time
import uuid
from collections import Counter, defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from s2cloud.io.receipt import existing_receipt
from s2cloud.io.urls import public_url
from s2cloud.model.errors import CapacityError, S2CloudError, UsageError
from s2cloud.scheduling.admission import Admission, admit, largest_product
from s2cloud.scheduling.batch_events import Event, Policy, Snapshot
from s2cloud.scheduling.failures import as_s2cloud_error
from s2cloud.scheduling.ledger import ClusterFacts
from s2cloud.scheduling.products import Made, Maker, make_product
from s2cloud.scheduling.projection import Projection, project
from s2cloud.scheduling.roster import Roster
from s2cloud.scheduling.runfile import Entry, RunFile, read_run_file, recall
from s2cloud.scheduling.strategies import ClusterState, Running, WorkerState, strategy
from s2cloud.scheduling.tries import does_not_fit, more_memory, wait_before_next

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from s2cloud.scheduling.batch_events import OnEvent
    from s2cloud.scheduling.executors import Executor
    from s2cloud.scheduling.jobs import Job
    from s2cloud.scheduling.ledger import ProductFacts

__all__ = ["Batch"]

logger = logging.getLogger(__name__)

#: Seconds between two looks at the cluster while nothing ends.
POLL_S: Final = 0.5
#: Least time between two writes of the run file, [s]
SAVE_S: Final = 2.0
#: and at most this share of the time is spent on them.
SAVE_SHARE: Final = 0.05
#: Projections under way at once: enough to stay ahead of what is made.
PROJECTIONS: Final = 4


class Batch:
    """Products to be made, and what became of them.

    Parameters
    ----------
    jobs
        What to do; jobs of equal key are one.
    policy
        How.
    run_file
        Path or URL of the run file, read first if it is there and written as things happen.
    storage_options
        Options of its file system.
    on_event
        Told of everything.
    make, projected
        What makes a product and what tells its cost; for tests and for other processors.

    Attributes
    ----------
    entries
        Products by key, in the order given.
    """

    def __init__(
        self,
        jobs: Iterable[Job | Entry],
        policy: Policy | None = None,
        *,
        run_file: str = "",
        storage_options: Mapping[str, Any] | None = None,
        on_event: OnEvent | None = None,
        make: Maker = make_product,
        projected: Callable[[Job], Projection] = project,
    ) -> None:
        self.policy = policy or Policy()
        if self.policy.tries < 1:
            raise UsageError("no tries", expected=">= 1", found=self.policy.tries)
        self._strategy = strategy(self.policy.strategy)
        entries = [job if isinstance(job, Entry) else Entry(job=job) for job in jobs]
        self._file = RunFile(run_file, storage_options) if run_file else None
        if run_file:
            kept = read_run_file(run_file, storage_options)
            recall(entries, kept, failed=not self.policy.retry_failed)
        self._roster = Roster(entries)
        self.entries: Mapping[str, Entry] = self._roster.entries
        self._on_event = on_event
        self._make = make
        self._projected = projected
        self._began = time.monotonic()
        self._ends: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._facts = ClusterFacts((), {})
        self._tiles: defaultdict[str, set[str]] = defaultdict(set)
        self._dates: defaultdict[str, set[str]] = defaultdict(set)
        self._stop_at = math.inf
        self._save_at = -math.inf
        self._generation = 0
        self._largest = 0
        self._settled: list[str] = []

    # -- for those outside -------------------------------------------------------------------

    def run(self, executor: Executor) -> list[Entry]:
        """Carry on until every product has ended, or the batch was asked to stop.

        Parameters
        ----------
        executor
            Where.

        Returns
        -------
        list of Entry
            All products in the order given.

        Raises
        ------
        UnavailableError
            If the cluster is lost; what ran waits again, and `run` may be called with another.
        """
        self._generation += 1
        self._largest = 0
        for entry in list(self._roster.of("running", "projecting")):
            self._roster.move(entry, "waiting" if entry.cost is not None else "new")
        try:
            while not self._roster.all_ended:
                self._facts = executor.facts()
                idle = not self._roster.number("running")
                if self.stopping and (idle or self._now() > self._stop_at):
                    break
                self._note_progress()
                if not self.stopping:
                    self._project(executor)
                    self._admit(executor)
                self._tell(None)
                self._take(executor)
                while self._settled:
                    executor.forget(self._settled.pop())
                if time.monotonic() > self._save_at:
                    self._save()
        finally:
            executor.abandon()
            self._save()
        return list(self.entries.values())

    @property
    def stopping(self) -> bool:
        """Whether the batch was asked to stop."""
        return self._stop_at < math.inf

    def stop(self) -> None:
        """Start nothing more and give running products the time of the policy to end.

        Asked a second time, stop at once. May be called from a signal handler.
        """
        self._stop_at = -1.0 if self.stopping else self._now() + self.policy.drain_s

    def snapshot(self) -> Snapshot:
        """The batch now."""
        return self._roster.snapshot(self._facts, self._now())

    # -- one turn ----------------------------------------------------------------------------

    def _note_progress(self) -> None:
        """Take note of what running products take."""
        running = list(self._roster.of("running"))
        products_at = Counter(name for entry in running for name in entry.workers)
        memory = {worker.name: worker.memory for worker in self._facts.workers}
        # One that died of a product is not there when that is told.
        sizes = (worker.memory_limit for worker in self._facts.workers)
        self._largest = max(self._largest, *sizes, 0)
        for entry in running:
            found = self._facts.products.get(entry.mark)
            if found is not None:
                self._roster.took(entry, found)
            if any(products_at[name] > 1 for name in entry.workers):
                entry.shared = True
            used = sum(memory.get(name, 0) for name in entry.workers)
            entry.peak_bytes = 0 if entry.shared else max(entry.peak_bytes, used)

    def _project(self, executor: Executor) -> None:
        """Have the cost of products told ahead of their start."""
        threads = sum(worker.threads for worker in self._facts.workers)
        room = max(PROJECTIONS, threads) - self._roster.number("projecting")
        now = self._now()
        for entry in list(self._roster.of("new")):
            if room <= 0:
                return
            if entry.not_before <= now:
                self._roster.move(entry, "projecting")
                room -= 1
                known = bool(entry.destination)
                ask = partial(_is_there, entry.destination) if known else self._projected
                act = self._was_asked_for if known else self._is_projected
                executor.call(ask, entry.job, partial(self._later, act, entry))

    def _admit(self, executor: Executor) -> None:
        """Start what may start now."""
        limits, running = self.policy.limits, self._roster.number("running")
        workers = [worker for worker in self._facts.workers if worker.accepting]
        if running >= limits.bound(sum(worker.threads for worker in workers)):
            return
        state = self._state()
        if not running and not self._roster.number("projecting"):
            self._refuse_oversized(state)
        for admission in admit(self._strategy, self._roster.ready(state.now), state, limits):
            self._start(executor, admission)

    def _refuse_oversized(self, state: ClusterState) -> None:
        """End what cannot fit even if nothing else runs."""
        largest = largest_product(state.workers, self.policy.limits)
        for request in self._roster.ready(math.inf) if state.workers else ():
            if request.cost.memory_bytes > largest:
                entry = self.entries[request.key]
                entry.tries = self.policy.tries
                there = sum(worker.memory_bytes for worker in state.workers)
                self._failed(entry, does_not_fit(entry, there))

    def _start(self, executor: Executor, admission: Admission) -> None:
        entry = self.entries[admission.key]
        self._roster.move(entry, "running")
        self._roster.began_try(entry)
        entry.started = self._now()
        entry.workers = admission.workers
        for worker in admission.workers:
            self._tiles[worker].add(entry.tile)
            self._dates[worker].add(entry.date)
        # Not the key alone: another try, or another batch on this cluster, is counted apart.
        entry.mark = f"{entry.key}.{uuid.uuid4().hex[:8]}"
        ended = partial(self._later, self._is_made, entry)
        executor.make(entry.job, admission, entry.mark, self._make, ended)
        self._happened("started", entry, ", ".join(admission.workers))

    def _take(self, executor: Executor) -> None:
        """Wait for something to end, and act on all that has."""
        acts = []
        try:
            acts.append(self._ends.get(timeout=POLL_S))
            while True:
                acts.append(self._ends.get_nowait())
        except queue.Empty:
            pass
        if acts:
            self._facts = executor.facts()  # the books of what has ended are closed only now
        for act in acts:
            act()

    def _later(
        self,
        act: Callable[[Entry, Any], None],
        entry: Entry,
        result: Any,
        error: BaseException | None,
    ) -> None:
        """Called in other threads: leave it to ours."""
        generation = self._generation

        def acted() -> None:
            if generation != self._generation:
                return  # of a cluster that is gone
            if error is not None:
                self._failed(entry, error)
            else:
                act(entry, result)

        self._ends.put(acted)

    # -- what came of it -----------------------------------------------------------------------

    def _is_projected(self, entry: Entry, found: Projection) -> None:
        entry.product, entry.tile, entry.date = found.product, found.tile, found.date
        entry.megapixels = found.megapixels
        self._roster.price(entry, found.cost)
        self._roster.move(entry, "waiting")

    def _was_asked_for(self, entry: Entry, there: Any) -> None:
        """The run file said done; the store has the last word."""
        if there:
            self._roster.move(entry, "found")
            self._happened("found", entry, entry.destination)
        else:
            entry.destination = ""
            self._roster.move(entry, "new")

    def _is_made(self, entry: Entry, made: Made) -> None:
        serial_s = made.serial_s
        facts = self._settle(entry)
        if facts is not None and facts.last > facts.first:
            # Building the graph is inside of what the receipt calls computing.
            serial_s = max(0.0, made.seconds - (facts.last - facts.first))
        self._roster.wrote(entry, serial_s, made.bytes_written)
        entry.finished = self._now()
        entry.destination = public_url(made.destination)
        self._roster.move(entry, "found" if made.found else "done")
        self._happened("found" if made.found else "done", entry, entry.destination)

    def _failed(self, entry: Entry, error: BaseException) -> None:
        """Try again what may succeed, end what will not."""
        known = as_s2cloud_error(error, where=public_url(entry.job.source))
        words = str(known) if known is not None else f"{type(error).__name__}: {error}"
        entry.causes.append(" ".join(words.split())[:500])
        entry.finished = self._now()
        self._settle(entry)
        if entry.state == "projecting":
            entry.tries += 1
        wait = wait_before_next(entry.tries, known, self.policy)
        if wait is None:
            self._roster.move(entry, "failed")
            self._happened("failed", entry, entry.causes[-1])
            return
        entry.not_before = self._now() + wait
        if isinstance(known, CapacityError) and entry.cost is not None:
            self._roster.price(entry, more_memory(entry.cost, self._largest))
        self._roster.move(entry, "waiting" if entry.cost is not None else "new")
        self._happened("retry", entry, entry.causes[-1])

    def _settle(self, entry: Entry) -> ProductFacts | None:
        """Read the books of a try for the last time."""
        mark, entry.mark = entry.mark, ""
        if mark:
            self._settled.append(mark)
        facts = self._facts.products.get(mark)
        if facts is not None:
            self._roster.took(entry, facts)
        return facts

    # -- telling and keeping -------------------------------------------------------------------

    def _state(self) -> ClusterState:
        """The cluster as strategies see it."""
        projected: Counter[str] = Counter()
        at_home: defaultdict[str, list[str]] = defaultdict(list)
        running = []
        for entry in self._roster.of("running"):
            request = entry.request()
            running.append(Running(request=request, workers=entry.workers, started=entry.started))
            for name in entry.workers:
                projected[name] += -(-request.cost.memory_bytes // len(entry.workers))
                at_home[name].append(entry.key)
        workers = [
            WorkerState(
                name=worker.name,
                threads=worker.threads,
                memory_bytes=worker.memory_limit,
                projected_bytes=projected[worker.name],
                products=tuple(at_home[worker.name]),
                tiles=frozenset(self._tiles[worker.name]),
                dates=frozenset(self._dates[worker.name]),
            )
            for worker in sorted(self._facts.workers, key=lambda worker: worker.name)
            if worker.accepting
        ]
        return ClusterState(
            now=self._now(),
            workers=tuple(workers),
            running=tuple(running),
            served=dict(self._roster.served),
        )

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _happened(self, kind: Any, entry: Entry, words: str = "") -> None:
        level = logging.WARNING if kind in {"retry", "failed"} else logging.INFO
        extra = {"job": entry.key, "product": entry.name, "event": kind, "tries": entry.tries}
        logger.log(level, "%s %s: %s", entry.name, kind, words, extra=extra)
        self._tell(Event(kind=kind, key=entry.key, name=entry.name, words=words))

    def _tell(self, event: Event | None) -> None:
        if self._on_event is not None:
            self._on_event(event, self.snapshot())

    def _save(self) -> None:
        """Write the run file."""
        if self._file is None:
            return
        began = time.monotonic()
        changed = [entry for key, entry in self.entries.items() if key in self._roster.changed]
        workers = [
            {"name": w.name, "threads": w.threads, "memory_bytes": w.memory_limit}
            for w in self._facts.workers
        ]
        facts = {"elapsed_s": round(self._now(), 3), "strategy": self._strategy.name}
        try:
            self._file.write(changed, {**facts, "workers": workers})
            self._roster.changed.clear()
        except S2CloudError as error:
            logger.warning("run file not written: %s", error)
        ended = time.monotonic()
        self._save_at = ended + max(SAVE_S, (ended - began) / SAVE_SHARE)


def _is_there(destination: str, job: Job) -> bool:
    """Whether a product that was made is there still."""
    return existing_receipt(destination, job.destination_options) is not None
