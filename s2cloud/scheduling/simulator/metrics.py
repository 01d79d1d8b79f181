"""What a schedule is worth: when products are there, whether in time, to whom, for how much."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s2cloud.scheduling.plan import Prices
    from s2cloud.scheduling.simulator.world import Outcome

__all__ = ["Metrics", "metrics_of", "table"]

_COLUMNS: Final = (
    *("strategy", "products", "makespan h", "mean min", "95 % min", "urgent 95 % min"),
    *("deadline misses", "fairness", "core-hours paid", "busy", "lost", "cost"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Numbers of one outcome.

    Attributes
    ----------
    strategy
        Name.
    products, failed
        Made, and ended without being made.
    makespan_h
        First arrival to last product. [h]
    mean_min, p95_min
        Arrival to product, mean and 95th percentile. [min]
    urgent_p95_min
        The same of products with the highest priority. [min]
    misses
        Products later than their deadline.
    fairness
        Jain's index of the mean slowdown of the owners: 1 if all are slowed alike, 1/n if one of
        n bears everything.
    paid_h, busy_h, lost_h
        Core-hours that were there, that worked, that worked in vain. [h]
    cost
        In the currency of the prices.

    References
    ----------
    Jain, R., Chiu, D., Hawe, W., 1984. A quantitative measure of fairness and discrimination for
    resource allocation in shared computer systems. DEC TR-301.
    """

    strategy: str
    products: int
    failed: int
    makespan_h: float
    mean_min: float
    p95_min: float
    urgent_p95_min: float
    misses: int
    fairness: float
    paid_h: float
    busy_h: float
    lost_h: float
    cost: float


def metrics_of(outcome: Outcome, prices: Prices) -> Metrics:
    """Numbers of an outcome.

    Parameters
    ----------
    outcome
        Of a simulation.
    prices
        What things cost.
    """
    made = [request for request in outcome.requests if request.key in outcome.finished]
    waits = np.array([outcome.finished[r.key] - r.arrived for r in made])
    highest = max((r.priority for r in made), default=0)
    urgent = np.array([outcome.finished[r.key] - r.arrived for r in made if r.priority == highest])
    slowdowns: defaultdict[str, list[float]] = defaultdict(list)
    for request, wait in zip(made, waits, strict=True):
        alone = request.cost.serial_s + request.cost.cpu_s / request.cost.blocks
        slowdowns[request.owner].append(float(wait) / max(alone, 1e-9))
    means = np.array([np.mean(each) for each in slowdowns.values()])
    first = min((request.arrived for request in outcome.requests), default=0.0)
    last = max(outcome.finished.values(), default=first)
    paid = {kind: seconds / 3600.0 for kind, seconds in outcome.paid_s.items()}
    return Metrics(
        strategy=outcome.strategy,
        products=len(made),
        failed=len(outcome.failed),
        makespan_h=(last - first) / 3600.0,
        mean_min=float(waits.mean()) / 60.0 if made else 0.0,
        p95_min=float(np.percentile(waits, 95)) / 60.0 if made else 0.0,
        urgent_p95_min=float(np.percentile(urgent, 95)) / 60.0 if made else 0.0,
        misses=sum(outcome.finished[r.key] > r.deadline for r in made),
        fairness=float(means.sum() ** 2 / (len(means) * (means**2).sum())) if made else 1.0,
        paid_h=sum(paid.values()),
        busy_h=outcome.busy_s / 3600.0,
        lost_h=outcome.lost_s / 3600.0,
        cost=paid.get("steady", 0.0) * prices.core_hour
        + paid.get("spot", 0.0) * prices.spot_core_hour,
    )


def table(rows: Sequence[Metrics]) -> str:
    """Rows as a table in Markdown."""
    lines = [
        f"| {' | '.join(_COLUMNS)} |",
        "|---" * len(_COLUMNS) + "|",
    ]
    lines += [
        f"| {r.strategy} | {r.products} | {r.makespan_h:.2f} | {r.mean_min:.1f} | {r.p95_min:.1f} "
        f"| {r.urgent_p95_min:.1f} | {r.misses} | {r.fairness:.2f} | {r.paid_h:.0f} "
        f"| {r.busy_h:.0f} | {r.lost_h:.1f} | {r.cost:.2f} |"
        for r in rows
    ]
    return "\n".join(lines)
