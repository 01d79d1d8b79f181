"""Threads of workers as lanes of tasks: how long a thread stood idle though a task was ready."""

from __future__ import annotations

from typing import Final

__all__ = ["Lanes"]

#: Clocks of worker and scheduler differ by about so much. [s]
_CLOCKS_S: Final = 0.001


class Lanes:
    """When the threads of each worker were busy last."""

    def __init__(self) -> None:
        self._ends: dict[str, list[float]] = {}

    def idle_before(
        self, worker: str, threads: int, began: float, ended: float, ready: float
    ) -> float:
        """Put a task on the thread that ran it, and tell how long that thread waited for it.

        Parameters
        ----------
        worker
            Name.
        threads
            Number of its threads.
        began, ended
            When the task ran. [s]
        ready
            When the last of its inputs was made. [s]

        Returns
        -------
        float
            Time in which the thread was free and the task could have run, had the scheduler known
            of its inputs, the task been here, and its inputs too. [s]
        """
        ends = self._ends.setdefault(worker, [0.0] * threads)
        # A task began on a thread that was free then; of several on the one freed last, so that
        # threads that have nothing to do are not taken for waiting ones.
        free = [n for n, end in enumerate(ends) if end <= began + _CLOCKS_S]
        lane = (
            max(free, key=ends.__getitem__) if free else min(range(threads), key=ends.__getitem__)
        )
        idle = began - max(ends[lane], ready)
        ends[lane] = ended
        return max(0.0, idle)

    def remove(self, worker: str) -> None:
        """Forget a worker that has gone."""
        self._ends.pop(worker, None)
