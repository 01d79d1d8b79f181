"""A day of a constellation in seconds: the same strategies and admission, on a clock of events."""

from __future__ import annotations

from s2cloud.scheduling.simulator.engine import simulate
from s2cloud.scheduling.simulator.metrics import Metrics, metrics_of, table
from s2cloud.scheduling.simulator.trace import constellation_day, read_trace, replay_of
from s2cloud.scheduling.simulator.world import Outcome, Pool, Weather

__all__ = [
    "Metrics",
    "Outcome",
    "Pool",
    "Weather",
    "constellation_day",
    "metrics_of",
    "read_trace",
    "replay_of",
    "simulate",
    "table",
]
