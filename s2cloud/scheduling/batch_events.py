"""What goes into a batch besides its products, and what it tells as it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from s2cloud.scheduling.admission import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from s2cloud.scheduling.strategies import SchedulingStrategy

__all__ = ["Event", "OnEvent", "Policy", "Snapshot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a batch behaves.

    Attributes
    ----------
    strategy
        Name or object; which product comes next.
    limits
        Bounds of what runs at once.
    tries
        How often a product is started before it ends as failed. Unsuitable input is never tried
        twice.
    wait_s
        Before the second try; doubled for each further one. [s]
    drain_s
        How long running products may go on once the batch is asked to stop. [s]
    retry_failed
        Whether products that failed in an earlier run of the run file are tried again.
    """

    strategy: str | SchedulingStrategy = "fifo"
    limits: Limits = field(default_factory=Limits)
    tries: int = 3
    wait_s: float = 5.0
    drain_s: float = 600.0
    retry_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened to a product.

    Attributes
    ----------
    kind
        ``failed`` is the end; after ``retry`` another try follows.
    key, name
        Of the product.
    words
        The reason of a failure, the address of a product made.
    """

    kind: Literal["started", "done", "found", "retry", "failed"]
    key: str = ""
    name: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A batch at one moment.

    Attributes
    ----------
    states
        Number of products by state.
    tasks
        Name of each running product, with its finished and all tasks.
    part
        Share of the projected work that is done, 0 to 1.
    elapsed_s, eta_s
        Since the start, and to the end as it looks now; NaN while that is unknown. [s]
    workers
        Number of workers that take tasks.
    memory_bytes, projected_bytes
        What worker processes use, and what running products are projected to need. [byte]
    queue_age_s
        How long the oldest product waits. [s]
    stages
        Seconds of tasks by stage, all products together.
    retries
        Tries beyond the first.
    bytes_written
        [byte]
    """

    states: Mapping[str, int]
    tasks: Mapping[str, tuple[int, int]]
    part: float
    elapsed_s: float
    eta_s: float
    workers: int
    memory_bytes: int
    projected_bytes: int
    queue_age_s: float
    stages: Mapping[str, float]
    retries: int
    bytes_written: int


class OnEvent(Protocol):
    """What is called as a batch goes on; from the thread that runs it."""

    def __call__(self, event: Event | None, now: Snapshot) -> None:
        """Take note; without an event just of the time that passes."""
