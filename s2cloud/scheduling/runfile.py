"""The run file: what a batch knows of its products, for people and for the next start.

The receipts in the object store are the state of record. A run file saves asking for them again,
keeps the reasons of failures, and holds what products took, for the cost model.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from s2cloud.io.stores import open_store
from s2cloud.io.urls import parent_url, public_url
from s2cloud.model.errors import InputError
from s2cloud.model.version import VERSION
from s2cloud.scheduling.costs import Measured
from s2cloud.scheduling.strategies.model import Cost, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from s2cloud.scheduling.jobs import Job

__all__ = ["ENDED", "Entry", "RunFile", "State", "measured_of", "read_run_file", "recall"]

#: ``found`` was complete before; ``failed`` has ended and is not tried again by itself.
State = Literal["new", "projecting", "waiting", "running", "done", "found", "failed"]
ENDED: Final[tuple[State, ...]] = ("done", "found", "failed")
_FORMAT: Final = 1


@dataclass(slots=True, kw_only=True)
class Entry:
    """One product of a batch.

    Attributes
    ----------
    job
        What to do.
    key
        Of the job.
    priority, deadline, owner
        As in `Request`; the deadline in seconds after the start of the batch.
    state
        Where it is in its life.
    product
        Name of the product, the source's address until it is known.
    tile, date
        Of the granule, empty until they are known.
    cost
        Projected; None until it is known.
    megapixels
        Area, pixels of the 10 m grid. [1e6]
    tries
        How often it was started.
    causes
        Why each of them failed.
    not_before
        Time of the next try. [s]
    arrived, started, finished
        [s] after the start of the batch.
    destination
        Address of the product made.
    task_s, serial_s, bytes_written
        What it took, as in `Cost`.
    dispatch_s
        As in `ProductFacts`.
    peak_bytes, shared
        Most memory that its workers used, 0 if shared: another product was at home on one of them.
    workers
        Where it was at home.
    stages
        Seconds of tasks by stage.
    mark
        Name of the present try in the books of the cluster.
    """

    job: Job
    key: str = field(init=False)
    priority: int = 0
    deadline: float = math.inf
    owner: str = ""
    state: State = "new"
    product: str = ""
    tile: str = ""
    date: str = ""
    cost: Cost | None = None
    megapixels: float = 0.0
    tries: int = 0
    causes: list[str] = field(default_factory=list)
    not_before: float = 0.0
    arrived: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    destination: str = ""
    task_s: float = 0.0
    serial_s: float = 0.0
    dispatch_s: float = 0.0
    bytes_written: int = 0
    peak_bytes: int = 0
    workers: tuple[str, ...] = ()
    stages: dict[str, float] = field(default_factory=dict)
    mark: str = ""
    shared: bool = False

    def __post_init__(self) -> None:
        """Reckon the fingerprint of the job once; it is asked for in every turn."""
        self.key = self.job.key

    @property
    def name(self) -> str:
        """Word for people."""
        return self.product or public_url(self.job.source).rstrip("/").rsplit("/", 1)[-1]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    def request(self) -> Request:
        """What a strategy sees of it."""
        return Request(
            key=self.key,
            cost=self.cost or Cost(),
            arrived=self.arrived,
            deadline=self.deadline,
            priority=self.priority,
            owner=self.owner,
            tile=self.tile,
            date=self.date,
        )

    def to_dict(self) -> dict[str, Any]:
        """Values for JSON, without secrets."""
        return {
            "key": self.key,
            "source": public_url(self.job.source),
            "product": self.name,
            "state": self.state if self.ended else "waiting",
            "destination": self.destination,
            "tries": self.tries,
            "causes": self.causes,
            "arrived": round(self.arrived, 3),
            "started": round(self.started, 3),
            "finished": round(self.finished, 3),
            "megapixels": self.megapixels,
            "blocks": self.cost.blocks if self.cost else 0,
            "memory_bytes": self.cost.memory_bytes if self.cost else 0,
            "peak_bytes": self.peak_bytes,
            "task_s": round(self.task_s, 4),
            "serial_s": round(self.serial_s, 4),
            "dispatch_s": round(self.dispatch_s, 4),
            "bytes_written": self.bytes_written,
            "stages": {name: round(seconds, 4) for name, seconds in self.stages.items()},
            "priority": self.priority,
            "owner": self.owner,
            "tile": self.tile,
            "date": self.date,
            "deadline": self.deadline if math.isfinite(self.deadline) else None,
            "workers": list(self.workers),
        }


class RunFile:
    """Writes a run file whole, again and again, at the cost of what has changed.

    Parameters
    ----------
    address
        Path or URL.
    storage_options
        Options of its file system.
    """

    def __init__(self, address: str, storage_options: Mapping[str, Any] | None = None) -> None:
        self._address = address
        self._storage_options = storage_options
        self._lines: dict[str, str] = {}

    def write(self, changed: Iterable[Entry], facts: Mapping[str, Any]) -> None:
        """Write it.

        Parameters
        ----------
        changed
            Products that are new or have changed since it was written last.
        facts
            What is to be said of the whole, such as the cluster.
        """
        for entry in changed:
            self._lines[entry.key] = json.dumps(entry.to_dict())
        head = json.dumps({"format": _FORMAT, "software": f"s2cloud {VERSION}", **facts})
        body = ",\n".join(self._lines.values())
        folder, name = parent_url(self._address)
        text = f'{head[:-1]},\n"products": [\n{body}\n]}}\n'
        open_store(folder, self._storage_options).write(name, text.encode())


def read_run_file(
    address: str, storage_options: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Content of a run file, None if there is none.

    Raises
    ------
    InputError
        If it is something else.
    """
    folder, name = parent_url(address)
    store = open_store(folder, storage_options)
    if not store.exists(name):
        return None
    try:
        values = json.loads(store.read(name))
        intact = values["format"] == _FORMAT and isinstance(values["products"], list)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "not a run file",
            where=public_url(address),
            found=f"{type(error).__name__} {error}",
            fix="name another file, or remove this one; receipts tell what is done",
        ) from error
    if not intact:
        raise InputError(
            "run file of another version",
            where=public_url(address),
            expected=f"format {_FORMAT}",
            found=values["format"],
            fix="name another file, or remove this one; receipts tell what is done",
        )
    return dict(values)


def measured_of(values: Mapping[str, Any]) -> list[Measured]:
    """What the products of a run file took."""
    return [
        Measured(
            megapixels=float(each["megapixels"]),
            cpu_s=float(each["task_s"]),
            serial_s=float(each["serial_s"]),
            memory_bytes=float(each.get("peak_bytes", 0)),
            bytes_written=float(each["bytes_written"]),
        )
        for each in values["products"]
        if each["state"] in {"done", "found"} and each["task_s"] > 0 and each["megapixels"] > 0
    ]


def recall(entries: Iterable[Entry], values: Mapping[str, Any] | None, *, failed: bool) -> None:
    """Take over what a run file knows of products.

    Parameters
    ----------
    entries
        Products; those that were made are asked for again, since the store has the last word.
    values
        Content of a run file, None if there was none.
    failed
        Whether those that failed stay so; without it they are tried again.
    """
    known = {each.get("key", ""): each for each in (values or {}).get("products", ())}
    for entry in entries:
        each = known.get(entry.key)
        if each is None:
            continue
        entry.product, entry.causes = each["product"], list(each["causes"])
        if each["state"] in {"done", "found"}:
            entry.destination = each["destination"]
            for name in ("megapixels", "task_s", "serial_s", "bytes_written", "stages"):
                setattr(entry, name, each[name])
        elif each["state"] == "failed" and failed:
            entry.state, entry.tries = "failed", each["tries"]
