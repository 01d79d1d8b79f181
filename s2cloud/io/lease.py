"""One writer at a time: a lease in the store itself, which a dead holder loses by itself.

Leases are objects ``lease-000001.json``, ``lease-000002.json``, ...: the highest number holds.
A number is claimed by writing its object unless it is there (`Store.write_if_absent`), so that a
dead holder is succeeded by the next number and no lease is ever overwritten by another holder.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from s2cloud.model.errors import InputError, S2CloudError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from s2cloud.io.stores import Store

__all__ = ["Lease", "leased", "swept"]

logger = logging.getLogger(__name__)

#: A holder renews its lease this often, others ask this often whether it did. [s]
BEAT_S: Final = 10.0
POLL_S: Final = 1.0
#: A lease that was not renewed for so long, by the clock of the one who waits, is free. [s]
PATIENCE_S: Final = 45.0
#: A lease whose own date is that old is free without waiting; clocks do not differ so much. [s]
STALE_S: Final = 3600.0
#: Stores whose writes can be made conditional; elsewhere two claims in the same instant are told
#: apart by reading back alone.
_CONDITIONAL: Final = frozenset({"file", "memory", "s3", "s3a", "gs", "gcs"})


@dataclass(slots=True)
class Lease:
    """The right to write a product, held by this process.

    Attributes
    ----------
    store, folder
        Where the leases of the product lie.
    number
        Of this lease.
    token
        Of this holder.
    on_loss
        Called once if another run took over because this one seemed dead.
    spent
        Whether nothing in the folder is needed any more: then releasing empties it.
    """

    store: Store
    folder: str
    number: int
    token: str
    on_loss: Callable[[], None] | None = None
    spent: bool = False
    _lost: bool = field(default=False, init=False)
    _over: threading.Event = field(default_factory=threading.Event, init=False)

    def confirm(self) -> None:
        """See that nobody took over.

        Raises
        ------
        UnavailableError
            If another run did.
        """
        if max(_numbers(self.store, self.folder), default=0) > self.number:
            self._lost = True
            raise UnavailableError(
                "another run took over",
                where=self.store.url(),
                found="no sign of life from this one for a while",
                fix="let the other run finish, or start this one again",
            )

    def text(self) -> bytes:
        """Content of the object."""
        place, started = _process(os.getpid())
        facts = {"token": self.token, "place": place, "pid": os.getpid(), "started": started}
        return json.dumps(facts | {"renewed": time.time()}).encode()

    def renew_until_released(self) -> None:
        """Show that this process is alive; ends when the lease does."""
        while not self._over.wait(BEAT_S):
            try:
                self.confirm()
                self.store.write(_name(self.folder, self.number), self.text())
            except S2CloudError as error:
                logger.warning("lease not renewed: %s", error)
            if self._lost:
                if self.on_loss is not None:
                    self.on_loss()
                return

    def release(self, thread: threading.Thread) -> None:
        """Let the next run begin at once; best effort, for a lease ends by itself."""
        self._over.set()
        thread.join(PATIENCE_S)
        if self._lost:
            return
        try:
            mine = {_name(self.folder, n) for n in _numbers(self.store, self.folder)}
            if self.spent or not set(self.store.find(self.folder)) - mine:
                self.store.delete(self.folder)
                return
            for name in mine:
                self.store.delete(name)
        except S2CloudError as error:
            logger.warning("could not release %s: %s", self.store.url(self.folder), error)


@contextlib.contextmanager
def leased(store: Store, folder: str, *, after: int | None = None) -> Iterator[Lease]:
    """Hold the only lease of a folder.

    Parameters
    ----------
    store
        Where.
    folder
        For the objects of leases; made and emptied as needed.
    after
        Number of a lease that the caller has watched for `PATIENCE_S` or longer without a sign of
        life, 0 for none: then any other living holder is an error at once, none is waited for.

    Raises
    ------
    UnavailableError
        If another run holds it and is alive. A run that died on this machine is succeeded at
        once, another one after `PATIENCE_S`.
    """
    lease = _acquired(store, folder, after)
    thread = threading.Thread(target=lease.renew_until_released, name="lease", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        lease.release(thread)


def swept(store: Store, folder: str) -> None:
    """Remove what a run left that was killed after its last word; not from under a living one."""
    if store.find(folder) and _is_over(_latest(store, folder)[1]):
        store.delete(folder)


def _acquired(store: Store, folder: str, after: int | None) -> Lease:
    if store.protocol not in _CONDITIONAL:
        logger.info("%s knows no conditional writes: leases are read back only", store.url())
    token = uuid.uuid4().hex
    watched: tuple[int, bytes] | None = None
    since = 0.0
    while True:
        number, text = _latest(store, folder)
        if number and not _is_over(text) and after is not None:
            if number != after:
                raise _busy(store)
        elif number and not _is_over(text):
            if watched is None:
                watched, since = (number, text), time.monotonic()
                logger.info("another run holds %s: waiting for a sign of life", store.url())
            elif watched != (number, text):
                raise _busy(store)
            if time.monotonic() - since < PATIENCE_S:
                time.sleep(POLL_S)
                continue
        if number:
            logger.warning("took over %s from a run that died", store.url())
        lease = Lease(store, folder, number + 1, token)
        name = _name(folder, lease.number)
        won = store.write_if_absent(name, lease.text())
        # Read back: not every store keeps the condition, and a late claim of a higher number wins.
        if won and _latest(store, folder)[0] == lease.number and _holder(store, name) == token:
            return lease
        if won and _holder(store, name) == token:
            store.delete(name)
        watched = None
        time.sleep(random.uniform(0.0, POLL_S))  # noqa: S311  # no secret


def _latest(store: Store, folder: str) -> tuple[int, bytes]:
    number = max(_numbers(store, folder), default=0)
    try:
        return number, store.read(_name(folder, number)) if number else b""
    except InputError:
        # Released between the two requests.
        return _latest(store, folder)


def _numbers(store: Store, folder: str) -> list[int]:
    names = (path.rsplit("/", 1)[-1] for path in store.find(folder))
    found = (name.removeprefix("lease-").removesuffix(".json") for name in names)
    return [int(text) for text in found if text.isdigit()]


def _name(folder: str, number: int) -> str:
    return f"{folder}/lease-{number:06d}.json"


def _holder(store: Store, name: str) -> str:
    try:
        return str(json.loads(store.read(name)).get("token", ""))
    except (InputError, ValueError):
        return ""


def _is_over(text: bytes) -> bool:
    """Whether the holder is known to be dead without waiting."""
    try:
        facts = json.loads(text)
        pid, then = int(facts["pid"]), float(facts["renewed"])
        place, started = facts["place"], facts["started"]
    except (ValueError, KeyError, TypeError):
        return True
    if abs(time.time() - then) > STALE_S:
        return True
    here, now_running = _process(pid)
    return bool(place) and place == here and now_running != started


def _process(pid: int) -> tuple[str, str]:
    """Name of this machine and process space, and start of a process there, empty if dead.

    Both are empty where there is no ``/proc``; then only time tells.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        place = f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return "", ""
    try:
        # Fields behind the name, which may hold blanks: state is the third of all, start the 22nd.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return place, ""
    return place, "" if fields[0] in {"Z", "X"} else fields[19]


def _busy(store: Store) -> UnavailableError:
    return UnavailableError(
        "another run writes this product",
        where=store.url(),
        fix="wait for it; started again later, this run finds the product made",
    )
