"""The state of jobs, in the store itself: the only memory of the service.

::

    open/JOB/job.json            what is to be made; written once, by whoever hears of it first
    open/JOB/lease/lease-*.json  held by the process that works on it
    open/JOB/try-0001.json       begun; with a cause once it has ended
    open/JOB/cancel.json         asked for by a person
    ended/JOB/done.json          or failed, refused, cancelled: what became of it
    days/2026-11-22/...          the same by day, for lists; a name says all
    unread/2026-11-22/HASH.json  messages of queues that are no events, with the reason

Nothing is ever decided by a time stamp or overwritten by another process than the one that holds
the lease, so that any number of processes may be killed at any moment. What one listing of
``open/`` tells is enough to go on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from s2cloud.io.stores import open_store
from s2cloud.model.errors import InputError, UsageError
from s2cloud.service.products import Candidate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from s2cloud.io.stores import Store
    from s2cloud.service.settings import Settings

__all__ = ["Ended", "OpenJob", "Records", "State", "records_of"]

State = Literal["done", "failed", "refused", "cancelled"]
#: The first one found counts: a product that was made stays made.
_STATES: Final[tuple[State, ...]] = ("done", "cancelled", "refused", "failed")
#: Of a message that cannot be read. [byte]
LONGEST_KEPT: Final = 65536
_LEASE: Final = "lease/lease-"
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(slots=True)
class OpenJob:
    """A job that has not ended, as a listing shows it.

    Attributes
    ----------
    job
        Its name.
    known
        Whether its description is there; not for what a process left that died at work.
    tries
        How often it was begun.
    lease, sign
        Number of the lease that is held, 0 for none, and what changes when it is renewed.
    cancelled
        Whether a person asked for its end.
    """

    job: str
    known: bool = False
    tries: int = 0
    lease: int = 0
    sign: str = ""
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a job.

    Attributes
    ----------
    state
        How it ended.
    facts
        ``reason``, ``product`` (address), ``causes`` of failed tries, ``incomplete``, times.
    """

    state: State
    facts: dict[str, Any] = field(default_factory=dict)


class Records:
    """Jobs in a store.

    Parameters
    ----------
    store
        Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    # -- from events --------------------------------------------------------------------------

    def accept(self, candidate: Candidate, *, whole: bool = False) -> str:
        """Record a product to be made; the record is there when this returns.

        Parameters
        ----------
        candidate
            Product.
        whole
            Whether it was said that all of it is there.

        Returns
        -------
        str
            ``new``, ``open`` if it was recorded before, or the state it has ended in. Products
            that failed because they stayed incomplete are opened again: their rest may be late.
        """
        ended = self.ended(candidate.job)
        if ended is not None:
            if not (ended.state == "failed" and ended.facts.get("incomplete")):
                return ended.state
            self.store.delete(f"ended/{candidate.job}")
        values = {
            **candidate.to_dict(),
            "whole": whole,
            "received": time.time(),
        }
        won = self.store.write_if_absent(f"open/{candidate.job}/job.json", _json(values))
        return "new" if won else "open"

    def put_aside(self, body: bytes, reason: str) -> None:
        """Keep a message that is no event, under a name by its content, with the reason."""
        name = hashlib.sha256(body).hexdigest()[:32]
        text = body[:LONGEST_KEPT].decode("utf-8", "replace")
        today = datetime.now(UTC).date()
        self.store.write(f"unread/{today}/{name}.json", _json({"reason": reason, "body": text}))

    # -- for those who work -------------------------------------------------------------------

    def open_jobs(self) -> dict[str, OpenJob]:
        """Jobs that have not ended, by one listing."""
        found: dict[str, OpenJob] = {}
        for path, info in self.store.find("open").items():
            job, _, rest = path.removeprefix("open/").partition("/")
            entry = found.setdefault(job, OpenJob(job))
            if rest == "job.json":
                entry.known = True
            elif rest == "cancel.json":
                entry.cancelled = True
            elif rest.startswith("try-"):
                entry.tries += 1
            elif rest.startswith(_LEASE):
                number = rest.removeprefix(_LEASE).removesuffix(".json")
                if number.isdigit() and int(number) > entry.lease:
                    entry.lease, entry.sign = int(number), f"{info.tag} {info.size}"
        return found

    def description(self, job: str) -> tuple[Candidate, dict[str, Any]]:
        """What a job is about, and when it was first heard of.

        Raises
        ------
        InputError
            If there is no such job, or its record is damaged.
        """
        name = f"open/{job}/job.json"
        try:
            values = json.loads(self.store.read(name))
            return Candidate.from_dict(values), values
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                "damaged record of a job",
                where=self.store.url(name),
                found=f"{type(error).__name__} {error}"[:200],
                fix="remove it; the next event makes another",
            ) from error

    def begin(self, job: str) -> int:
        """Note that a try begins; by the holder of the lease.

        Returns
        -------
        int
            Number of the try.
        """
        number = len(self.tries(job)) + 1
        facts = {"began": time.time(), "by": f"{socket.gethostname()} {os.getpid()}"}
        self.store.write(_try(job, number), _json(facts))
        return number

    def tries(self, job: str) -> list[dict[str, Any]]:
        """Tries so far, in their order."""
        names = sorted(n for n in self.store.find(f"open/{job}") if "/try-" in n)
        found = []
        for name in names:
            try:
                found.append(json.loads(self.store.read(name)))
            except (InputError, ValueError):
                found.append({})
        return found

    def give_up(self, job: str, number: int, cause: str, *, wait_s: float) -> None:
        """Note why a try failed, and that another follows after a while."""
        now = time.time()
        facts = {"ended": now, "cause": cause, "not_before": now + wait_s}
        self.store.write(_try(job, number), _json(facts))

    def take_back(self, job: str, number: int) -> None:
        """Forget a try that was interrupted by an orderly stop."""
        self.store.delete(_try(job, number))

    def end(self, job: str, ended: Ended, candidate: Candidate | None = None) -> None:
        """Note what became of a job; by the holder of the lease. `clear` follows.

        The words of the record are public: they are on the status page and in logs.
        """
        now = datetime.now(UTC)
        facts = {
            **(candidate.to_dict() if candidate is not None else {}),
            **ended.facts,
            "state": ended.state,
            "ended": now.timestamp(),
        }
        data = _json(facts)
        self.store.write(f"ended/{job}/{ended.state}.json", data)
        # A second copy by time, best last; lists are made from it.
        self.store.write(f"days/{now:%Y-%m-%d}/{now:%H%M%S}_{ended.state}_{job}.json", data)

    def ended(self, job: str) -> Ended | None:
        """What became of a job, None if it has not ended."""
        names = {n.rsplit("/", 1)[-1] for n in self.store.find(f"ended/{job}")}
        for state in _STATES:
            if f"{state}.json" in names:
                try:
                    return Ended(state, json.loads(self.store.read(f"ended/{job}/{state}.json")))
                except (InputError, ValueError):
                    return Ended(state)
        return None

    def is_open(self, job: str) -> bool:
        """Whether a job is still to be concluded."""
        return self.store.exists(f"open/{job}/job.json")

    def close(self, job: str) -> None:
        """Take an ended job from the open ones; by the holder of the lease, before it lets go."""
        self.store.delete(f"open/{job}/job.json")

    def clear(self, job: str) -> None:
        """Remove what a closed job left."""
        self.store.delete(f"open/{job}")

    # -- for people ---------------------------------------------------------------------------

    def cancel(self, job: str) -> None:
        """Ask for the end of a job that has not ended.

        Raises
        ------
        InputError
            If there is none.
        """
        self.description(job)
        self.store.write(f"open/{job}/cancel.json", _json({"asked": time.time()}))

    def is_cancelled(self, job: str) -> bool:
        """Whether the end of a job was asked for."""
        return self.store.exists(f"open/{job}/cancel.json")

    def retry(self, job: str) -> None:
        """Open a job that has ended once more, with all its tries.

        Raises
        ------
        InputError
            If there is no such job, or not enough of it to begin again.
        UsageError
            If it has not ended, or its product is there.
        """
        ended = self.ended(job)
        if ended is None:
            self.description(job)
            raise UsageError("job has not ended", where=job, fix="wait, or cancel it first")
        if ended.state == "done":
            raise UsageError(
                "product is made",
                where=str(ended.facts.get("product", job)),
                fix="to make it again, remove it and this job's record, then retry",
            )
        try:
            candidate = Candidate.from_dict(ended.facts)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("damaged record of a job", where=job) from error
        self.store.delete(f"ended/{job}")
        self.accept(candidate)

    def recent(self, *, days: int = 7, limit: int = 200) -> Iterator[tuple[str, State, datetime]]:
        """Jobs that ended lately, the last one first: name, state and time.

        Parameters
        ----------
        days
            How far to look back.
        limit
            Most jobs.
        """
        today = datetime.now(UTC).date()
        count = 0
        for back in range(days):
            day = f"{today - timedelta(days=back):%Y-%m-%d}"
            for name in sorted(self.store.listdir(f"days/{day}"), reverse=True):
                at, state, job = name.removesuffix(".json").split("_", 2)
                moment = datetime.strptime(f"{day} {at} +0000", "%Y-%m-%d %H%M%S %z")
                known = next((each for each in _STATES if each == state), None)
                if known is not None:
                    yield job, known, moment
                    count += 1
                if count == limit:
                    return

    # -- for order ----------------------------------------------------------------------------

    def forget(self, before: date) -> int:
        """Remove lists of ended jobs and unread messages of the days before one.

        What became of a job stays under ``ended``: late events of its product meet it there.

        Returns
        -------
        int
            Days removed.
        """
        count = 0
        for place in ("days", "unread"):
            for day in self.store.listdir(place):
                if _DAY.fullmatch(day) and day < before.isoformat():
                    self.store.delete(f"{place}/{day}")
                    count += 1
        return count


def _try(job: str, number: int) -> str:
    return f"open/{job}/try-{number:04d}.json"


def _json(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True).encode() + b"\n"


def records_of(settings: Settings) -> Records:
    """Jobs of a service, wherever it runs.

    Parameters
    ----------
    settings
        Of the service.
    """
    place = settings.state_store
    return Records(open_store(place.url, place.options))
