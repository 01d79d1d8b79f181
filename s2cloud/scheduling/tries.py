"""What follows from a failure: another try, with more memory if need be, or the end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from s2cloud.model.errors import CapacityError, InputError, S2CloudError, UsageError

if TYPE_CHECKING:
    from s2cloud.scheduling.batch_events import Policy
    from s2cloud.scheduling.runfile import Entry
    from s2cloud.scheduling.strategies import Cost

__all__ = ["does_not_fit", "more_memory", "wait_before_next"]

#: Longest wait before a product is tried again. [s]
LONGEST_WAIT_S: Final = 300.0


def wait_before_next(tries: int, error: S2CloudError | None, policy: Policy) -> float | None:
    """How long to wait before a product is tried again, None if it is not. [s].

    Parameters
    ----------
    tries
        Tries so far.
    error
        Why the last one failed, None for what nobody has a word for: a bug, perhaps a rare one.
    policy
        Bounds.
    """
    if isinstance(error, InputError | UsageError) or tries >= policy.tries:
        return None
    return min(LONGEST_WAIT_S, policy.wait_s * 2.0 ** (tries - 1))


def more_memory(cost: Cost, largest: int) -> Cost:
    """Cost of a product that ran out of memory: twice as much, up to a worker of its own.

    Others that ran beside it may have died with it: what needs more than half of a worker is
    alone there, and takes nobody along.

    Parameters
    ----------
    cost
        As projected for the try that failed.
    largest
        Memory of the largest worker. [byte]
    """
    need = max(2 * cost.memory_bytes, largest // 2 + 1)
    return replace(cost, memory_bytes=min(need, largest) or need)


def does_not_fit(entry: Entry, workers_bytes: int) -> CapacityError:
    """Word about a product that would not fit if nothing else ran."""
    need = entry.cost.memory_bytes if entry.cost is not None else 0
    return CapacityError(
        "product does not fit into the cluster",
        where=entry.name,
        expected=f"{need / 2**30:.1f} GiB",
        found=f"{workers_bytes / 2**30:.1f} GiB",
        fix="use bigger or more workers, or a part of the product",
    )
