"""What a process knows of the jobs that have not ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from s2cloud.service.products import Candidate
    from s2cloud.service.records import OpenJob

__all__ = ["FIRST_LOOK_S", "Watch", "startable", "state_of"]

#: Shortest time between two looks at an input that is not complete, and before a lease is
#: doubted. [s]
FIRST_LOOK_S: Final = 1.0


@dataclass(slots=True)
class Watch:
    """An open job; times are of the monotonic clock, except when it was first heard of."""

    entry: OpenJob
    since: float
    candidate: Candidate | None = None
    received: float = 0.0
    whole: bool = False
    busy: str = ""
    ready: bool = False
    look_at: float = 0.0
    pause: float = FIRST_LOOK_S
    input: tuple[int, int] = (-1, -1)
    input_since: float = 0.0
    missing: str = ""
    tries: int = 0
    sign: tuple[int, str] = (0, "")
    sign_since: float = 0.0
    try_at: float = 0.0
    over: bool = False


def startable(watch: Watch, now: float) -> bool:
    """Whether a try at a job may begin now."""
    if watch.entry.lease:
        # Held: a try takes it over only if its holder is known to be dead. Asked for rarely.
        return watch.entry.known and now - watch.sign_since > FIRST_LOOK_S
    return watch.ready


def state_of(watch: Watch) -> str:
    """State of an open job as people are told."""
    if watch.busy == "running" or watch.entry.lease:
        return "leased"
    return "ready" if watch.ready else "pending"
