"""The way from an event to a recorded job, for webhooks, queues and polls alike."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from s2cloud.service.filters import refusal_by_name
from s2cloud.service.products import NotAllowedError, candidate_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from s2cloud.service.notifications import Found
    from s2cloud.service.records import Records
    from s2cloud.service.settings import Settings

__all__ = ["Intake", "Taken"]

logger = logging.getLogger(__name__)

#: Events of one product within this time are one question to the store. [s]
FRESH_S: Final = 30.0
#: Events so close behind the first of a product need not be asked about, even if its job is not
#: listed yet. [s]
BURST_S: Final = 1.0
_REMEMBERED: Final = 4096


@dataclass(slots=True)
class Taken:
    """What became of the addresses of one arrival.

    Attributes
    ----------
    jobs
        Jobs they belong to, with ``new``, ``open`` or the state they ended in.
    ignored
        Addresses of something else than Level-1C products.
    refused
        Why others were refused.
    """

    jobs: dict[str, str] = field(default_factory=dict)
    ignored: int = 0
    refused: list[str] = field(default_factory=list)


class Intake:
    """Records the products that events name.

    Parameters
    ----------
    settings
        Of the service.
    records
        Where jobs are recorded.
    heard
        Told of each job that is open.
    stays_open
        Whether a job is known to be open, and to stay so for a while.
    """

    def __init__(
        self,
        settings: Settings,
        records: Records,
        heard: Callable[[str], None] | None = None,
        stays_open: Callable[[str], bool] | None = None,
    ) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self._records = records
        self._heard = heard
        self._stays_open = stays_open
        self._burst_s = min(BURST_S, settings.jobs.ready_within_seconds / 100)
        self._recent: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, found: Iterable[Found]) -> Taken:
        """Record the products that addresses belong to; they are recorded when this returns.

        Parameters
        ----------
        found
            Of an event.

        Raises
        ------
        UnavailableError
            If the store does not answer; then the event is to be sent again.
        """
        taken = Taken()
        for each in found:
            try:
                candidate = candidate_of(each.url, self.settings)
            except NotAllowedError as error:
                self.counts["refused"] += 1
                taken.refused.append(str(error))
                logger.warning("event refused: %s", error)
                continue
            if candidate is None:
                self.counts["ignored"] += 1
                taken.ignored += 1
                continue
            refusal = refusal_by_name(candidate, self.settings.filters)
            if refusal:
                self.counts["filtered"] += 1
                taken.refused.append(refusal)
                continue
            job = candidate.job
            state = taken.jobs.get(job) or self._remembered(job)
            if not state or each.whole:
                state = self._records.accept(candidate, whole=each.whole)
                self._remember(job, state)
            self.counts["new" if state == "new" else "known"] += 1
            taken.jobs[job] = "open" if taken.jobs.get(job) == "open" else state
            if self._heard is not None and state in {"new", "open"}:
                self._heard(job)
        return taken

    def put_aside(self, body: bytes, reason: str) -> None:
        """Keep a message that cannot be read, with the reason.

        Raises
        ------
        UnavailableError
            If the store does not answer.
        """
        self._records.put_aside(body, reason)

    def _remembered(self, job: str) -> str:
        """State that need not be asked for again; empty if it is."""
        with self._lock:
            at, state = self._recent.get(job, (0.0, ""))
        age = time.monotonic() - at
        if age > FRESH_S or state == "failed":
            return ""
        if state in {"new", "open"}:
            # It may have ended since, even as incomplete: then this event opens it again.
            watched = self._stays_open is not None and self._stays_open(job)
            burst = state == "new" and age < self._burst_s
            return "open" if watched or burst else ""
        return state

    def _remember(self, job: str, state: str) -> None:
        with self._lock:
            self._recent[job] = (time.monotonic(), state)
            self._recent.move_to_end(job)
            while len(self._recent) > _REMEMBERED:
                self._recent.popitem(last=False)
