"""What an interrupted run has finished, told by itself, checked before it is believed.

Every few seconds a run writes an object ``done-*.json`` with the parts finished since: their
paths, lengths and checksums. The next run reads the objects themselves again, takes over what has
the checksum that the journal says, and makes the rest. A part without an entry was not finished.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from s2cloud.io.layers import Summary
from s2cloud.io.target import Sink, Written
from s2cloud.model.errors import InputError, S2CloudError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from s2cloud.io.stores import Store

__all__ = ["Journal", "finished_parts"]

logger = logging.getLogger(__name__)

#: Between two objects of a journal. [s]
EVERY_S: Final = 2.0
#: Parts that are read again at once, and the length of one request. [byte]
_READERS: Final = 8
_STEP: Final = 8_388_608
#: Runs whose last entries a process remembers.
_RUNS: Final = 64


@dataclass(slots=True)
class _Buffer:
    since: float = field(default_factory=time.monotonic)
    entries: list[dict[str, Any]] = field(default_factory=list)


_buffers: dict[str, _Buffer] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Journal:
    """Where the tasks of a run tell what they finished; travels with them.

    Attributes
    ----------
    sink
        Of the run.
    folder
        For the objects of the journal.
    key
        Identity of what is made: inputs, configuration, software, formats. Entries under another
        key say nothing about this product.
    """

    sink: Sink
    folder: str
    key: str

    def note(self, unit: str, written: list[Written]) -> list[Written]:
        """Remember what a task wrote, and hand it on."""
        entry = {"unit": unit, "written": [asdict(part) for part in written]}
        with _lock:
            while len(_buffers) >= _RUNS and self.sink.token not in _buffers:
                del _buffers[next(iter(_buffers))]
            buffer = _buffers.setdefault(self.sink.token, _Buffer())
            buffer.entries.append(entry)
            due = time.monotonic() - buffer.since >= EVERY_S
        if due:
            self.flush()
        return written

    def flush(self) -> None:
        """Write what this process remembers; a journal that cannot be written costs time only."""
        with _lock:
            buffer = _buffers.get(self.sink.token)
            if buffer is None or not buffer.entries:
                return
            entries, buffer.entries, buffer.since = buffer.entries, [], time.monotonic()
        text = json.dumps({"key": self.key, "entries": entries})
        try:
            self.sink.store.write(f"{self.folder}/done-{uuid.uuid4().hex}.json", text.encode())
        except S2CloudError as error:
            logger.warning("progress not recorded: %s", error)

    def close(self) -> None:
        """Forget."""
        with _lock:
            _buffers.pop(self.sink.token, None)


def finished_parts(
    store: Store, folder: str, key: str, names: Sequence[str]
) -> dict[str, list[Written]]:
    """Parts that an earlier run finished and that are whole.

    Parameters
    ----------
    store
        The product folder.
    folder, key
        As in `Journal`.
    names
        Files and folders that the formats write: parts elsewhere are not believed.

    Returns
    -------
    dict
        What was written, by unit of work. Everything has been read again and has its checksum.
    """
    paths = [p for p in store.find(folder) if p.rsplit("/", 1)[-1].startswith("done-")]
    units: dict[str, list[Written]] = {}
    for data in store.read_many(paths):
        units.update(_entries(data, key))
    wanted = [part for parts in units.values() for part in parts if part.path]
    with ThreadPoolExecutor(_READERS) as pool:
        whole = set(pool.map(lambda part: _whole(store, part, names), wanted))
    kept = {
        unit: parts
        for unit, parts in units.items()
        if all(not part.path or part.path in whole for part in parts)
    }
    if units:
        logger.info("%d of %d recorded parts of an earlier run are whole", len(kept), len(units))
    return kept


def _entries(data: bytes, key: str) -> Iterable[tuple[str, list[Written]]]:
    try:
        found = json.loads(data)
        if found["key"] != key:
            return
        for entry in found["entries"]:
            yield str(entry["unit"]), [_written(part) for part in entry["written"]]
    except (ValueError, TypeError, KeyError) as error:
        logger.warning("unreadable record of progress ignored: %s", error)


def _written(values: dict[str, Any]) -> Written:
    summary = values["summary"]
    return Written(**values | {"summary": None if summary is None else Summary(**summary)})


def _whole(store: Store, part: Written, names: Sequence[str]) -> str:
    """Path of a part if its bytes are those recorded, else nothing."""
    inside = any(part.path == name or part.path.startswith(f"{name}/") for name in names)
    if not inside or ".." in part.path.split("/"):
        return ""
    digest = hashlib.sha256()
    try:
        if store.info(part.path).size != part.size:
            return ""
        for start in range(0, part.size, _STEP):
            digest.update(store.read(part.path, start, min(start + _STEP, part.size)))
    except InputError:
        return ""
    return part.path if digest.hexdigest() == part.sha256 else ""
