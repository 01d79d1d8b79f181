"""Pictures of schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s2cloud.scheduling.simulator.world import Outcome

__all__ = ["draw"]


def draw(outcomes: Sequence[Outcome], path: str) -> None:
    """Products that wait, threads that work, and time from arrival to product, by strategy.

    Parameters
    ----------
    outcomes
        Of one trace.
    path
        File to write; its suffix tells the format.

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra
    except ImportError as error:
        raise UsageError(
            "no pictures without matplotlib", fix="pip install 's2cloud[plot]'"
        ) from error
    figure = Figure(figsize=(9, 8), layout="constrained")
    queue, busy, wait = figure.subplots(3, 1)
    for outcome in outcomes:
        samples = np.array(outcome.samples)
        hours = samples[:, 0] / 3600.0
        queue.plot(hours, samples[:, 1], label=outcome.strategy, linewidth=0.9)
        busy.plot(hours, samples[:, 3], linewidth=0.7)
        minutes = np.sort(
            [
                (outcome.finished[r.key] - r.arrived) / 60.0
                for r in outcome.requests
                if r.key in outcome.finished
            ]
        )
        wait.plot(minutes, np.linspace(0, 100, len(minutes)), linewidth=0.9)
    queue.set(xlabel="time [h]", ylabel="products waiting")
    queue.legend(fontsize="small", ncols=2)
    busy.set(xlabel="time [h]", ylabel="threads at work")
    wait.set(xlabel="arrival to product [min]", ylabel="products [%]", xscale="log")
    figure.savefig(path, dpi=110)
