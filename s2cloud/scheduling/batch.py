"""Many products on one cluster: started by a strategy, followed, tried again, accounted for."""

from __future__ import annotations

import logging
import math
import queue
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from s2cloud.io.receipt import existing_receipt
from s2cloud.io.urls import public_url
from s2cloud.model.errors import CapacityError, InputError, S2CloudError, UsageError
from s2cloud.scheduling.admission import Admission, admit, fits_at_all
from s2cloud.scheduling.batch_events import Event, Policy, Snapshot
from s2cloud.scheduling.failures import as_s2cloud_error
from s2cloud.scheduling.ledger import ClusterFacts, ProductFacts
from s2cloud.scheduling.products import Made, Maker, make_product
from s2cloud.scheduling.projection import Projection, project
from s2cloud.scheduling.runfile import Entry, read_run_file, write_run_file
from s2cloud.scheduling.strategies import ClusterState, Running, WorkerState, strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from s2cloud.scheduling.batch_events import OnEvent
    from s2cloud.scheduling.executors import Executor
    from s2cloud.scheduling.jobs import Job

__all__ = ["Batch"]

logger = logging.getLogger(__name__)

#: Seconds between two looks at the cluster while nothing ends.
POLL_S: Final = 0.5
#: Least time between two writes of the run file. [s]
SAVE_S: Final = 2.0
#: Projections under way at once: enough to stay ahead of what is made.
PROJECTIONS: Final = 4
#: Longest wait before a product is tried again. [s]
LONGEST_WAIT_S: Final = 300.0


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
        entries = [job if isinstance(job, Entry) else Entry(job=job) for job in jobs]
        self.entries: dict[str, Entry] = {}
        for entry in entries:
            self.entries.setdefault(entry.key, entry)
        self._strategy = strategy(self.policy.strategy)
        self._run_file = run_file
        self._storage_options = storage_options
        self._on_event = on_event
        self._make = make
        self._projected = projected
        self._began = time.monotonic()
        self._ends: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._facts = ClusterFacts((), {})
        self._homes: dict[str, tuple[str, ...]] = {}
        self._marks: dict[str, str] = {}
        self._seen: defaultdict[str, set[str]] = defaultdict(set)
        self._stop_at = math.inf
        self._saved = -math.inf
        self._generation = 0
        self._recall()

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
        for entry in self.entries.values():
            if entry.state in {"running", "projecting"}:
                entry.state = "waiting" if entry.cost is not None else "new"
        self._homes.clear()
        try:
            while not all(entry.ended for entry in self.entries.values()):
                self._facts = executor.facts()
                if self.stopping and (not self._homes or self._now() > self._stop_at):
                    break
                self._note_progress()
                if not self.stopping:
                    self._project(executor)
                    self._admit(executor)
                self._tell(None)
                self._take(executor, POLL_S)
                self._save(SAVE_S)
        finally:
            executor.abandon()
            self._save(0.0)
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
        entries = self.entries.values()
        now = self._now()
        waiting = [now - e.arrived for e in entries if e.state in {"new", "projecting", "waiting"}]
        part = self._part()
        stages: defaultdict[str, float] = defaultdict(float)
        for entry in entries:
            for stage, seconds in entry.stages.items():
                stages[stage] += seconds
        running = [entry for entry in entries if entry.state == "running"]
        return Snapshot(
            states=Counter(entry.state for entry in entries),
            tasks={e.name: self._counted(e) for e in running},
            part=part,
            elapsed_s=now,
            eta_s=now * (1.0 - part) / part if part > 0 else math.nan,
            workers=sum(worker.accepting for worker in self._facts.workers),
            memory_bytes=sum(worker.memory for worker in self._facts.workers),
            projected_bytes=sum(e.cost.memory_bytes for e in running if e.cost is not None),
            queue_age_s=max(waiting, default=0.0),
            stages=stages,
            retries=sum(max(0, entry.tries - 1) for entry in entries),
            bytes_written=sum(entry.bytes_written for entry in entries),
        )

    # -- one turn ----------------------------------------------------------------------------

    def _project(self, executor: Executor) -> None:
        """Have the cost of products told ahead of their start."""
        states = Counter(entry.state for entry in self.entries.values())
        threads = sum(worker.threads for worker in self._facts.workers)
        room = max(PROJECTIONS, threads) - states["projecting"]
        for entry in self.entries.values():
            if room <= 0:
                return
            if entry.state == "new" and entry.not_before <= self._now():
                entry.state = "projecting"
                room -= 1
                known = bool(entry.destination)
                ask = partial(_is_there, entry.destination) if known else self._projected
                executor.call(
                    ask, entry.job, partial(self._later, "asked" if known else "projected", entry)
                )

    def _admit(self, executor: Executor) -> None:
        state = self._state()
        now = self._now()
        waiting = [
            entry.request()
            for entry in self.entries.values()
            if entry.state == "waiting" and entry.not_before <= now
        ]
        if not self._homes and not self._projecting():
            self._refuse_oversized(state)
        for admission in admit(self._strategy, waiting, state, self.policy.limits):
            self._start(executor, admission)

    def _start(self, executor: Executor, admission: Admission) -> None:
        entry = self.entries[admission.key]
        entry.state = "running"
        entry.tries += 1
        entry.started = self._now()
        entry.workers = admission.workers
        self._homes[entry.key] = admission.workers
        for worker in admission.workers:
            self._seen[worker] |= {entry.tile, entry.date}
        # Not the key alone: another try, or another batch on this cluster, is counted apart.
        mark = self._marks[entry.key] = f"{entry.key}.{uuid.uuid4().hex[:8]}"
        ended = partial(self._later, "made", entry)
        executor.make(entry.job, admission, mark, self._make, ended)
        self._happened("started", entry, ", ".join(admission.workers))

    def _take(self, executor: Executor, timeout: float) -> None:
        """Act on what has ended; wait for something to end."""
        try:
            act = self._ends.get(timeout=timeout)
            self._facts = executor.facts()  # the books of what has ended are closed only now
            act()
            while True:
                self._ends.get_nowait()()
        except queue.Empty:
            return

    def _later(self, what: str, entry: Entry, result: Any, error: BaseException | None) -> None:
        """Called in other threads: leave it to ours."""
        generation = self._generation

        def act() -> None:
            if generation != self._generation:
                return  # of a cluster that is gone
            if error is not None:
                self._failed(entry, error)
            elif what == "projected":
                self._is_projected(entry, result)
            elif what == "asked":
                self._was_asked_for(entry, there=result)
            else:
                self._is_made(entry, result)

        self._ends.put(act)

    def _is_projected(self, entry: Entry, found: Projection) -> None:
        entry.product, entry.tile, entry.date = found.product, found.tile, found.date
        entry.megapixels, entry.cost = found.megapixels, found.cost
        entry.state = "waiting"

    def _was_asked_for(self, entry: Entry, *, there: bool) -> None:
        """The run file said done; the store has the last word."""
        if there:
            entry.state = "found"
            self._happened("found", entry, entry.destination)
        else:
            entry.state, entry.destination = "new", ""

    def _is_made(self, entry: Entry, made: Made) -> None:
        self._homes.pop(entry.key, None)
        self._note_progress(entry)
        entry.state = "found" if made.found else "done"
        entry.finished = self._now()
        entry.destination = public_url(made.destination)
        facts = self._facts.products.get(self._marks.get(entry.key, ""), ProductFacts())
        # Building the graph is inside of what the receipt calls computing.
        span = facts.last - facts.first
        entry.serial_s = max(0.0, made.seconds - span) if span > 0 else made.serial_s
        entry.bytes_written = made.bytes_written
        self._happened(entry.state, entry, entry.destination)

    def _failed(self, entry: Entry, error: BaseException) -> None:
        """Try again what may succeed, end what will not."""
        self._homes.pop(entry.key, None)
        known = as_s2cloud_error(error, where=public_url(entry.job.source))
        words = str(known) if known is not None else f"{type(error).__name__}: {error}"
        entry.causes.append(" ".join(words.split())[:500])
        entry.finished = self._now()
        before = entry.state
        if before == "projecting":
            entry.tries += 1
        hopeless = isinstance(known, InputError | UsageError)
        if hopeless or entry.tries >= self.policy.tries:
            entry.state = "failed"
            self._happened("failed", entry, entry.causes[-1])
            return
        entry.not_before = self._now() + min(
            LONGEST_WAIT_S, self.policy.wait_s * 2.0 ** (entry.tries - 1)
        )
        if isinstance(known, CapacityError) and entry.cost is not None:
            self._give_more(entry)
        entry.state = "waiting" if entry.cost is not None else "new"
        self._happened("retry", entry, entry.causes[-1])

    def _give_more(self, entry: Entry) -> None:
        """More memory for a product that ran out of it, up to a worker of its own.

        Others that ran beside it may have died with it: alone it takes nobody along.
        """
        if entry.cost is None:
            return
        largest = max((worker.memory_limit for worker in self._facts.workers), default=0)
        need = max(2 * entry.cost.memory_bytes, largest // 2)
        entry.cost = replace(entry.cost, memory_bytes=min(need, largest) or need)

    def _refuse_oversized(self, state: ClusterState) -> None:
        """End what cannot fit even if nothing else runs."""
        for entry in self.entries.values():
            if entry.state != "waiting" or not state.workers:
                continue
            if not fits_at_all(entry.request(), state.workers, self.policy.limits):
                need = entry.request().cost.memory_bytes
                error = CapacityError(
                    "product does not fit into the cluster",
                    where=entry.name,
                    expected=f"{need / 2**30:.1f} GiB",
                    found=f"{sum(w.memory_bytes for w in state.workers) / 2**30:.1f} GiB",
                    fix="use bigger or more workers, or a part of the product",
                )
                entry.tries = self.policy.tries
                self._failed(entry, error)

    # -- views -------------------------------------------------------------------------------

    def _state(self) -> ClusterState:
        projected: Counter[str] = Counter()
        at_home: defaultdict[str, list[str]] = defaultdict(list)
        served: defaultdict[str, float] = defaultdict(float)
        running = []
        for entry in self.entries.values():
            served[entry.owner] += entry.task_s + entry.serial_s
            if entry.key not in self._homes:
                continue
            homes = self._homes[entry.key]
            request = entry.request()
            running.append(Running(request=request, workers=homes, started=entry.started))
            for name in homes:
                projected[name] += -(-request.cost.memory_bytes // len(homes))
                at_home[name].append(entry.key)
        workers = [
            WorkerState(
                name=worker.name,
                threads=worker.threads,
                memory_bytes=worker.memory_limit,
                projected_bytes=projected[worker.name],
                products=tuple(at_home[worker.name]),
                tiles=frozenset(self._seen[worker.name]),
                dates=frozenset(self._seen[worker.name]),
            )
            for worker in sorted(self._facts.workers, key=lambda worker: worker.name)
            if worker.accepting
        ]
        return ClusterState(
            now=self._now(), workers=tuple(workers), running=tuple(running), served=served
        )

    def _counted(self, entry: Entry) -> tuple[int, int]:
        facts = self._facts.products.get(self._marks.get(entry.key, ""), ProductFacts())
        return (min(facts.done, facts.total), facts.total)

    def _note_progress(self, only: Entry | None = None) -> None:
        for entry in (only,) if only is not None else self.entries.values():
            facts = self._facts.products.get(self._marks.get(entry.key, ""))
            if facts is not None and entry.key in self._homes | ({only.key: ()} if only else {}):
                entry.task_s = facts.task_s
                entry.stages = dict(facts.seconds)

    def _projecting(self) -> bool:
        return any(entry.state == "projecting" for entry in self.entries.values())

    def _part(self) -> float:
        """Share of the projected work that is done; products of unknown size count as the mean."""
        costs = [e.cost.work_s for e in self.entries.values() if e.cost is not None]
        mean = sum(costs) / len(costs) if costs else 1.0
        whole = done = 0.0
        for entry in self.entries.values():
            if entry.state == "found":
                continue
            work = entry.cost.work_s if entry.cost is not None else mean
            whole += work
            if entry.ended:
                done += work
            elif entry.state == "running":
                finished, total = self._counted(entry)
                done += work * finished / total if total else 0.0
        return done / whole if whole else 1.0

    def _now(self) -> float:
        return time.monotonic() - self._began

    # -- telling and keeping -------------------------------------------------------------------

    def _happened(self, kind: Any, entry: Entry, words: str = "") -> None:
        level = logging.WARNING if kind in {"retry", "failed"} else logging.INFO
        extra = {"job": entry.key, "product": entry.name, "event": kind, "tries": entry.tries}
        logger.log(level, "%s %s: %s", entry.name, kind, words, extra=extra)
        self._tell(Event(kind=kind, key=entry.key, name=entry.name, words=words))

    def _tell(self, event: Event | None) -> None:
        if self._on_event is not None:
            self._on_event(event, self.snapshot())

    def _recall(self) -> None:
        """Take over what an earlier run of the run file knows."""
        values = read_run_file(self._run_file, self._storage_options) if self._run_file else None
        for each in (values or {}).get("products", ()):
            entry = self.entries.get(each.get("key", ""))
            if entry is None:
                continue
            entry.product, entry.causes = each["product"], list(each["causes"])
            if each["state"] in {"done", "found"}:
                entry.destination = each["destination"]
                for name in ("megapixels", "task_s", "serial_s", "bytes_written", "stages"):
                    setattr(entry, name, each[name])
            elif each["state"] == "failed" and not self.policy.retry_failed:
                entry.state, entry.tries = "failed", each["tries"]

    def _save(self, least_s: float) -> None:
        if not self._run_file or time.monotonic() - self._saved < least_s:
            return
        workers = [
            {"name": w.name, "threads": w.threads, "memory_bytes": w.memory_limit}
            for w in self._facts.workers
        ]
        facts = {"elapsed_s": round(self._now(), 3), "strategy": self._strategy.name}
        try:
            write_run_file(
                self._run_file,
                self.entries.values(),
                {**facts, "workers": workers},
                self._storage_options,
            )
        except S2CloudError as error:
            logger.warning("run file not written: %s", error)
        self._saved = time.monotonic()


def _is_there(destination: str, job: Job) -> bool:
    """Whether a product that was made is there still."""
    return existing_receipt(destination, job.destination_options) is not None
