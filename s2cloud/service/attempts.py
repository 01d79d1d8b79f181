"""One try at a job by the holder of its lease: made, tried again later, or given up."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from s2cloud.io.receipt import existing_receipt
from s2cloud.io.urls import public_url
from s2cloud.model.errors import InputError, S2CloudError, UsageError
from s2cloud.scheduling.failures import as_s2cloud_error
from s2cloud.scheduling.jobs import Job
from s2cloud.service.records import Ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from s2cloud.scheduling.products import Made
    from s2cloud.service.products import Candidate
    from s2cloud.service.records import Records
    from s2cloud.service.settings import Settings

__all__ = ["Attempt", "attempted", "job_of", "public_words"]

logger = logging.getLogger(__name__)

#: Longest wait before a product is tried again. [s]
LONGEST_WAIT_S: Final = 1800.0
_DIED: Final = "the process that made it died"
_QUERY: Final = re.compile(r"([a-z0-9+]+://[^\s?]+)\?\S+")
_USER: Final = re.compile(r"([a-z0-9+]+://)[^/\s@]+@")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of a try.

    Attributes
    ----------
    ended
        How the job ended, None if it is to be tried again.
    tries
        So far.
    wait_s
        Before the next. [s]
    bytes_written, seconds
        Of a product made. [byte], [s]
    """

    ended: Ended | None
    tries: int
    wait_s: float = 0.0
    bytes_written: int = 0
    seconds: float = 0.0


def job_of(candidate: Candidate | None, settings: Settings) -> Job:
    """What to make of a product, as the settings say."""
    if candidate is None:
        raise InputError("job without a product")
    return Job(
        source=candidate.url,
        destination=settings.destination.url,
        formats=settings.formats,
        config=settings.processing,
        source_options=settings.sources[candidate.source].options,
        destination_options=settings.destination.options,
        auxiliary_options=settings.auxiliary_options,
    )


def attempted(
    records: Records,
    job: str,
    settings: Settings,
    make: Callable[[], Made],
    *,
    stopping: Callable[[], bool],
    cancelled: Callable[[], bool],
) -> Attempt:
    """Try once, as the holder of the lease of a job.

    Parameters
    ----------
    records, job
        Where its tries are noted.
    settings
        Of the service: how often, and how long between.
    make
        Makes the product.
    stopping
        Whether this process is told to stop: then a failure says nothing about the product.
    cancelled
        Whether a person asked for the end of the job: then a failure is that end.

    Notes
    -----
    A try whose process died left no cause. It counts: a product that takes its process along
    must not do so for ever.
    """
    jobs = settings.jobs
    causes: list[str] = [str(each.get("cause") or _DIED) for each in records.tries(job)]
    if len(causes) >= jobs.attempts:
        reason = f"given up after {len(causes)} tries, the last: {causes[-1]}"
        return Attempt(Ended("failed", {"reason": reason, "causes": causes}), len(causes))
    number = records.begin(job)
    began = time.monotonic()
    try:
        made = make()
    except Exception as error:  # noqa: BLE001  # sorted here, and told to whoever asks
        known = as_s2cloud_error(error)
        cause = public_words(known or error)
        if cancelled():
            return Attempt(Ended("cancelled", {"reason": "cancelled while it was made"}), number)
        causes.append(cause)
        hopeless = isinstance(known, InputError | UsageError)
        if stopping() and not hopeless:
            records.take_back(job, number)
            return Attempt(None, number - 1)
        if hopeless or number >= jobs.attempts:
            reason = cause if hopeless else f"given up after {number} tries, the last: {cause}"
            return Attempt(Ended("failed", {"reason": reason, "causes": causes}), number)
        wait = min(LONGEST_WAIT_S, jobs.retry_seconds * 2.0 ** (number - 1))
        records.give_up(job, number, cause, wait_s=wait)
        return Attempt(None, number, wait_s=wait)
    facts = _of_product(made, settings)
    seconds = time.monotonic() - began
    facts |= {"seconds": round(seconds, 3), "tries": number, "causes": causes}
    return Attempt(Ended("done", facts), number, bytes_written=made.bytes_written, seconds=seconds)


def public_words(error: BaseException) -> str:
    """What an error says, in one line, without what may be secret in addresses."""
    words = str(error) if isinstance(error, S2CloudError) else f"{type(error).__name__}: {error}"
    words = _USER.sub(r"\1", _QUERY.sub(r"\1", " ".join(words.split())))
    return words[:500]


def _of_product(made: Made, settings: Settings) -> dict[str, Any]:
    facts: dict[str, Any] = {"product": public_url(made.destination), "found": made.found}
    try:
        receipt = existing_receipt(made.destination, settings.destination.options)
    except S2CloudError as error:
        logger.warning("receipt of a product not read: %s", error)
        return facts
    if receipt is not None and "no pixel with data" in receipt.warnings:
        facts["reason"] = "no pixel with data"
    return facts
