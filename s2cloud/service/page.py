"""The status page: jobs, what they wait for, why they failed, and what came out."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import imagecodecs
import jinja2
import numpy as np

from s2cloud.io.receipt import existing_receipt
from s2cloud.io.report_pixels import pictures_of
from s2cloud.io.stores import open_store
from s2cloud.io.urls import public_url
from s2cloud.model.errors import S2CloudError
from s2cloud.model.version import VERSION

if TYPE_CHECKING:
    from s2cloud.service.dispatcher import Dispatcher
    from s2cloud.service.records import Records
    from s2cloud.service.settings import Settings

__all__ = ["JobTable", "quicklook", "status_page"]

logger = logging.getLogger(__name__)

#: Jobs of the page that have ended.
SHOWN: Final = 50
#: Longer side of a quicklook. [pixel]
SIDE: Final = 320
_KEPT: Final = 64
#: What the page shows of a job; nothing else leaves the records.
_COLUMNS: Final = (
    "job", "name", "tile", "day", "state", "reason", "tries", "seconds", "product", "ended"
)  # fmt: skip


@dataclass(slots=True)
class JobTable:
    """Jobs for the page and for ``/jobs``.

    Attributes
    ----------
    records
        Where they are.
    dispatcher
        For those that have not ended.
    settings
        Of the service.
    """

    records: Records
    dispatcher: Dispatcher
    settings: Settings
    _ended: OrderedDict[str, dict[str, Any]] = field(default_factory=OrderedDict, init=False)
    _pictures: OrderedDict[str, bytes] = field(default_factory=OrderedDict, init=False)
    _lock: Any = field(default_factory=threading.Lock, init=False)

    def jobs(self) -> list[dict[str, Any]]:
        """Open jobs, then those that ended lately."""
        rows = [{**row, "age": round(_age(row["received"]))} for row in self.dispatcher.watched()]
        for job, state, moment in self.records.recent(days=7, limit=SHOWN):
            key = f"{job} {state} {moment:%s}"
            with self._lock:
                row = self._ended.get(key)
            if row is None:
                ended = self.records.ended(job)
                facts = ended.facts if ended is not None else {}
                row = {name: facts[name] for name in _COLUMNS if name in facts}
                row |= {"job": job, "state": state, "ended": moment.timestamp()}
                with self._lock:
                    self._ended[key] = row
                    while len(self._ended) > 4 * SHOWN:
                        self._ended.popitem(last=False)
            rows.append({**row, "age": round(_age(row["ended"]))})
        return rows

    def picture(self, job: str) -> bytes | None:
        """Quicklook made before."""
        with self._lock:
            return self._pictures.get(job)

    def keep(self, job: str, picture: bytes) -> None:
        """Remember a quicklook for a while."""
        with self._lock:
            self._pictures[job] = picture
            while len(self._pictures) > _KEPT:
                self._pictures.popitem(last=False)


def quicklook(table: JobTable, job: str) -> bytes | None:
    """Small true-colour picture of the product of a job as PNG, None if there is none.

    Parameters
    ----------
    table
        Of jobs.
    job
        Name of a job that is done.
    """
    known = table.picture(job)
    if known is not None:
        return known
    ended = table.records.ended(job)
    address = str(ended.facts.get("product", "")) if ended is not None else ""
    # Records are ours, but what is read stays where products go.
    home = public_url(table.settings.destination.url).rstrip("/") + "/"
    if ended is None or ended.state != "done" or not address.startswith(home):
        return None
    options = table.settings.destination.options
    try:
        receipt = existing_receipt(address, options)
        if receipt is None:
            return None
        colours = pictures_of(open_store(address, options), receipt).colours
    except S2CloudError as error:
        logger.info("no quicklook of job %s: %s", job, error)
        return None
    if colours is None:
        return None
    step = max(1, -(-max(colours.shape[:2]) // SIDE))
    picture = bytes(imagecodecs.png_encode(np.ascontiguousarray(colours[::step, ::step])))
    table.keep(job, picture)
    return picture


def status_page(jobs: list[dict[str, Any]], settings: Settings) -> str:
    """The page, whole in itself.

    Parameters
    ----------
    jobs
        As of `JobTable.jobs`.
    settings
        For the places it names, without options.
    """
    counts: dict[str, int] = {}
    for each in jobs:
        counts[each["state"]] = counts.get(each["state"], 0) + 1
    return _template().render(
        jobs=jobs,
        counts=counts,
        version=VERSION,
        sources=[public_url(source.url) for source in settings.sources],
        destination=public_url(settings.destination.url),
        now=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True)
    environment.filters["span"] = _span
    text = (Path(__file__).parent / "pages" / "status.html").read_text(encoding="utf-8")
    return environment.from_string(text)


def _age(moment: float) -> float:
    return max(0.0, time.time() - moment) if moment else 0.0


def _span(seconds: float) -> str:
    for limit, unit, size in ((90, "s", 1), (5400, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
