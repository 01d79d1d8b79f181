"""Which product comes next, and where: pure decisions, the same live and in the simulator."""

from __future__ import annotations

from s2cloud.scheduling.strategies.builtin import (
    EarliestDeadline,
    FairShare,
    Fifo,
    Locality,
    LongestFirst,
    Priority,
    ShortestFirst,
)
from s2cloud.scheduling.strategies.model import (
    ClusterState,
    Cost,
    Placement,
    Request,
    Running,
    SchedulingStrategy,
    WorkerState,
)
from s2cloud.scheduling.strategies.registry import strategy, strategy_names

__all__ = [
    "ClusterState",
    "Cost",
    "EarliestDeadline",
    "FairShare",
    "Fifo",
    "Locality",
    "LongestFirst",
    "Placement",
    "Priority",
    "Request",
    "Running",
    "SchedulingStrategy",
    "ShortestFirst",
    "WorkerState",
    "strategy",
    "strategy_names",
]
