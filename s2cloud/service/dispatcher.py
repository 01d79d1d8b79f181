"""Jobs taken from the store, watched until their input is complete, made, and accounted for."""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from s2cloud.io.lease import leased
from s2cloud.model.errors import S2CloudError, UnavailableError
from s2cloud.service.attempts import Attempt, attempted, job_of
from s2cloud.service.filters import needs_metadata, refusal_by_metadata
from s2cloud.service.readiness import completeness
from s2cloud.service.records import Ended
from s2cloud.service.watches import FIRST_LOOK_S, Watch, startable, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from s2cloud.service.products import Candidate
    from s2cloud.service.records import Records
    from s2cloud.service.runner import ProductMaker
    from s2cloud.service.settings import Settings

__all__ = ["Dispatcher", "Tally"]

logger = logging.getLogger(__name__)

#: Longest time between two looks at an input that is not complete. [s]
LAST_LOOK_S: Final = 30.0
#: Least time between two listings of the jobs. [s]
LISTING_S: Final = 0.5
#: Time in which all processes learn that a job has failed. [s]
SURE_S: Final = 30.0
#: Inputs looked at at once.
LOOKERS: Final = 4


@dataclass(slots=True)
class Tally:
    """What this process did since it started.

    Attributes
    ----------
    ended
        Jobs by state.
    retries
        Tries that others followed.
    bytes_written, seconds
        Of products made. [byte], [s]
    """

    ended: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    bytes_written: int = 0
    seconds: float = 0.0


class Dispatcher:
    """Works on the jobs in the store until it is stopped.

    Parameters
    ----------
    settings
        Of the service.
    records
        The jobs.
    make
        Makes products.
    on_end
        Told of every job that ends here, before its record is cleared away; again if this
        process died in between.
    """

    def __init__(
        self,
        settings: Settings,
        records: Records,
        make: ProductMaker,
        *,
        on_end: Callable[[str, Candidate | None, Ended], None] | None = None,
    ) -> None:
        self.settings = settings
        self.records = records
        self.tally = Tally()
        self.listings = 0
        self.listed_at = 0.0
        self.alive_at = time.monotonic()
        self._make = make
        self._on_end = on_end
        self._watches: dict[str, Watch] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self.stopped = threading.Event()
        self._runners = ThreadPoolExecutor(settings.jobs.in_flight, "s2cloud-job")
        self._lookers = ThreadPoolExecutor(LOOKERS, "s2cloud-look")

    # -- for those outside ---------------------------------------------------------------------

    def heard(self, job: str) -> None:
        """An event named a job: look at it at once."""
        with self._lock:
            watch = self._watches.get(job)
            if watch is not None and not watch.ready:
                watch.look_at, watch.pause = 0.0, FIRST_LOOK_S
        self._wake.set()

    def is_open(self, job: str) -> bool:
        """Whether the last listing had this job."""
        with self._lock:
            return job in self._watches

    def stays_open(self, job: str) -> bool:
        """Whether a job is open and will not fail as incomplete in the next seconds."""
        limit = self.settings.jobs.ready_within_seconds
        with self._lock:
            watch = self._watches.get(job)
            if watch is None:
                return False
            age = time.time() - watch.received if watch.received else limit
            return watch.ready or age < limit - min(SURE_S, limit / 2)

    def watched(self) -> list[dict[str, Any]]:
        """Jobs that have not ended, for lists, the oldest first."""
        with self._lock:
            watches = sorted(self._watches.values(), key=lambda w: w.received or w.since)
        return [
            {
                "job": watch.entry.job,
                "name": watch.candidate.name if watch.candidate else "",
                "state": state_of(watch),
                "tries": watch.tries or watch.entry.tries,
                "reason": watch.missing and f"waits for {watch.missing}",
                "received": watch.received,
            }
            for watch in watches
        ]

    def running(self) -> list[str]:
        """Jobs that this process works on."""
        with self._lock:
            return [job for job, watch in self._watches.items() if watch.busy == "running"]

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self.stopped.is_set()

    def stop(self) -> None:
        """Start nothing more; `run` returns when what runs has ended, or after a while."""
        self.stopped.set()
        self._wake.set()

    def run(self) -> None:
        """Work until stopped. Failures of the store are waited out."""
        listed = -1e9
        while not self.stopping:
            self.alive_at = time.monotonic()
            due = time.monotonic() - listed
            if due >= LISTING_S:
                try:
                    self._list()
                    listed = self.listed_at = time.monotonic()
                except S2CloudError as error:
                    logger.warning("jobs not listed: %s", error)
                    listed = time.monotonic()
            self._look()
            self._start()
            woken = self._wake.wait(self.settings.jobs.scan_seconds)
            if woken and time.monotonic() - listed < LISTING_S:
                time.sleep(0.02)  # many things end together
            self._wake.clear()
        self._drain()

    # -- one turn ------------------------------------------------------------------------------

    def _list(self) -> None:
        found = self.records.open_jobs()
        now = time.monotonic()
        broken_off: list[Candidate | None] = []
        with self._lock:
            for job in [j for j, w in self._watches.items() if j not in found and not w.busy]:
                del self._watches[job]
            for job, entry in found.items():
                watch = self._watches.setdefault(job, Watch(entry, since=now))
                watch.entry = entry
                if entry.cancelled and watch.busy == "running":
                    broken_off.append(watch.candidate)
                sign = (entry.lease, entry.sign)
                if watch.sign != sign:
                    watch.sign, watch.sign_since = sign, now
            self.listings += 1
        for candidate in broken_off:
            if candidate is not None:
                self._make.cancel(job_of(candidate, self.settings))

    def _look(self) -> None:
        """Look at inputs that may be complete by now."""
        now = time.monotonic()
        with self._lock:
            due = [
                watch
                for watch in self._watches.values()
                if not watch.busy
                and (not watch.entry.lease or self._is_left_over(watch, now))
                and watch.look_at <= now
                and (not watch.ready or watch.entry.cancelled)
            ]
            random.shuffle(due)  # other processes look at the same ones
            for watch in due[: 4 * LOOKERS]:
                watch.busy = "looking"
        for watch in due[: 4 * LOOKERS]:
            self._lookers.submit(self._guarded, self._looked_at, watch, 0)

    def _is_left_over(self, watch: Watch, now: float) -> bool:
        """Whether only a lease is there that nobody renews."""
        dead = now - watch.sign_since > self.settings.jobs.lease_seconds
        return dead and not watch.entry.known

    def _start(self) -> None:
        """Start what is complete, and what somebody died at."""
        if self.stopping or not self._make.ready():
            return
        now = time.monotonic()
        jobs = self.settings.jobs
        with self._lock:
            room = jobs.in_flight - sum(w.busy == "running" for w in self._watches.values())
            waiting = [
                watch
                for watch in self._watches.values()
                if not watch.busy and watch.try_at <= now and startable(watch, now)
            ]
            random.shuffle(waiting)
            waiting.sort(key=lambda watch: watch.since)
            chosen = waiting[: max(0, room)]
            for watch in chosen:
                watch.busy = "running"
        for watch in chosen:
            dead = watch.entry.lease and now - watch.sign_since > jobs.lease_seconds
            after = watch.entry.lease if dead else 0
            self._runners.submit(self._guarded, self._worked_on, watch, after)

    def _guarded(self, step: Callable[[Watch, int], None], watch: Watch, after: int) -> None:
        """One step on a job in a thread of its own, whatever happens in it."""
        try:
            step(watch, after)
        except UnavailableError as error:
            logger.debug("job %s: %s", watch.entry.job, error)
            self._postpone(watch)
        except S2CloudError as error:
            logger.warning("job %s: %s", watch.entry.job, error)
            self._postpone(watch)
        except Exception:
            logger.exception("job %s", watch.entry.job)
            self._postpone(watch)
        finally:
            with self._lock:
                watch.busy = ""
                if watch.over:
                    self._watches.pop(watch.entry.job, None)
            self._wake.set()

    def _postpone(self, watch: Watch) -> None:
        now = time.monotonic()
        watch.pause = min(LAST_LOOK_S, 2 * watch.pause)
        watch.look_at = now + watch.pause
        watch.try_at = now + min(watch.pause, self.settings.jobs.scan_seconds)

    def _looked_at(self, watch: Watch, _: int) -> None:
        job = watch.entry.job
        if not watch.entry.known:
            # What is left of a job whose end was interrupted.
            self.records.clear(job)
            return
        if watch.candidate is None:
            watch.candidate, values = self.records.description(job)
            watch.received, watch.whole = float(values["received"]), bool(values.get("whole"))
        if watch.entry.cancelled:
            self._conclude(watch, Ended("cancelled", {"reason": "cancelled"}), 0)
            return
        if watch.entry.tries:
            # Begun before: it was complete then, and waits for its next try.
            watch.tries = watch.entry.tries
            last = (self.records.tries(job) or [{}])[-1]
            wait = float(last.get("not_before", 0.0)) - time.time()
            watch.try_at = time.monotonic() + max(0.0, wait)
            watch.ready, watch.missing = True, ""
            return
        verdict = self._checked(watch, watch.candidate)
        if verdict is not None:
            self._conclude(watch, verdict, 0)

    def _checked(self, watch: Watch, candidate: Candidate) -> Ended | None:
        """See whether an input is complete and wanted; how the job ends if it is not."""
        options = self.settings.sources[candidate.source].options
        found = completeness(candidate, options)
        now = time.monotonic()
        if found.state != watch.input:
            watch.input, watch.input_since = found.state, now
        settle = 0.0 if found.certain or watch.whole else self.settings.jobs.settle_seconds
        quiet = now - watch.input_since
        if not found.missing and quiet >= settle:
            watch.missing = ""
            filters = self.settings.filters
            if needs_metadata(filters):
                refusal = refusal_by_metadata(candidate, filters, options)
                if refusal:
                    return Ended("refused", {"reason": refusal})
            watch.ready = True
            logger.info("job %s: input complete", watch.entry.job)
            return None
        watch.missing = found.missing or "more files, perhaps"
        limit = self.settings.jobs.ready_within_seconds
        if time.time() - watch.received > limit:
            reason = f"not complete within {limit:g} s, missing: {watch.missing}"
            return Ended("failed", {"reason": reason, "incomplete": True})
        # The longer nothing came, the longer until it is looked at again.
        pause = min(LAST_LOOK_S, max(FIRST_LOOK_S, quiet / 2))
        if not found.missing:
            pause = min(pause, max(0.1, settle - quiet))
        watch.look_at = now + pause
        return None

    def _conclude(self, watch: Watch, verdict: Ended, after: int) -> None:
        """End a job without making anything."""
        job = watch.entry.job
        with leased(self.records.store, f"open/{job}/lease", after=after) as lease:
            ended = self.records.ended(job)
            if ended is None:
                lease.confirm()
                self.records.end(job, verdict, watch.candidate)
            self._close(watch, ended or verdict)
        self.records.clear(job)

    def _worked_on(self, watch: Watch, after: int) -> None:
        job = watch.entry.job
        if self.stopping:
            return
        with leased(self.records.store, f"open/{job}/lease", after=after) as lease:
            ended = self.records.ended(job)
            if ended is None:
                outcome = self._attempted(watch)
                ended, watch.tries = outcome.ended, outcome.tries
                if ended is None:
                    self.tally.retries += 1
                    watch.try_at = time.monotonic() + outcome.wait_s
                    return
                lease.confirm()
                self.records.end(job, ended, watch.candidate)
                self.tally.bytes_written += outcome.bytes_written
                self.tally.seconds += outcome.seconds
            self._close(watch, ended)
        self.records.clear(job)

    def _attempted(self, watch: Watch) -> Attempt:
        job = watch.entry.job
        if watch.candidate is None:
            watch.candidate, values = self.records.description(job)
            watch.received = float(values["received"])
        return attempted(
            self.records,
            job,
            self.settings,
            lambda: self._make(job_of(watch.candidate, self.settings)),
            stopping=lambda: self.stopping,
            cancelled=lambda: self.records.is_cancelled(job),
        )

    def _close(self, watch: Watch, ended: Ended) -> None:
        """Tell of the end of a job, then close it: told twice rather than never."""
        if self.records.is_open(watch.entry.job):
            self._told(watch, ended)
            self.records.close(watch.entry.job)
        watch.over = True

    def _told(self, watch: Watch, ended: Ended) -> None:
        self.tally.ended[ended.state] += 1
        log = logger.info if ended.state in {"done", "refused"} else logger.warning
        words = ended.facts.get("product") or ended.facts.get("reason", "")
        log("job %s: %s, %s", watch.entry.job, ended.state, words, extra={"job": watch.entry.job})
        if self._on_end is not None:
            try:
                self._on_end(watch.entry.job, watch.candidate, ended)
            except Exception:
                logger.exception("end of job %s not announced", watch.entry.job)

    def _drain(self) -> None:
        """Let running products end for a while; hand back the others."""
        deadline = time.monotonic() + self.settings.jobs.drain_seconds
        while time.monotonic() < deadline and self.running():
            time.sleep(0.1)
        self._make.close()
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline and self.running():
            time.sleep(0.1)
        for job in self.running():
            # Threads cannot be stopped; the process ends now, and another may begin at once.
            with contextlib.suppress(S2CloudError):
                tries = self.records.tries(job)
                self.records.take_back(job, len(tries))
                self.records.store.delete(f"open/{job}/lease")
        self._lookers.shutdown(wait=True, cancel_futures=True)
        self._runners.shutdown(wait=not self.running(), cancel_futures=True)
