"""Strategies by name: those that come along and those that other packages bring."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from s2cloud.model.errors import UsageError
from s2cloud.scheduling.strategies import builtin
from s2cloud.scheduling.strategies.model import SchedulingStrategy

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GROUP", "strategy", "strategy_names"]

#: Entry point group of other packages; each names a callable without arguments.
GROUP: Final = "s2cloud.strategies"

_BUILT_IN: Final[dict[str, Callable[[], SchedulingStrategy]]] = {
    "fifo": builtin.Fifo,
    "priority": builtin.Priority,
    "deadline": builtin.EarliestDeadline,
    "shortest": builtin.ShortestFirst,
    "longest": builtin.LongestFirst,
    "fair": builtin.FairShare,
    "locality": builtin.Locality,
}


def strategy_names() -> list[str]:
    """Names of all strategies, built in ones first."""
    return [
        *_BUILT_IN,
        *sorted({point.name for point in entry_points(group=GROUP)} - set(_BUILT_IN)),
    ]


def strategy(name: str | SchedulingStrategy) -> SchedulingStrategy:
    """Strategy of a name.

    Parameters
    ----------
    name
        Word such as ``fifo``, or a strategy, which is returned as it is.

    Raises
    ------
    UsageError
        If there is none of that name, or the package that brings it is broken.

    Examples
    --------
    >>> strategy("longest").name
    'longest'
    """
    if not isinstance(name, str):
        return _checked(name, "argument")
    if name in _BUILT_IN:
        return _BUILT_IN[name]()
    for point in entry_points(group=GROUP):
        if point.name != name:
            continue
        origin = f"{point.value} of {point.dist.name if point.dist else 'an unknown package'}"
        try:
            made = point.load()()
        except Exception as error:
            raise UsageError(
                "strategy cannot be loaded",
                where=origin,
                found=f"{type(error).__name__}: {error}",
                fix="update or remove the package that brings it",
            ) from error
        return _checked(made, origin)
    raise UsageError("unknown strategy", expected=" or ".join(strategy_names()), found=name)


def _checked(made: object, origin: str) -> SchedulingStrategy:
    if not isinstance(made, SchedulingStrategy):
        raise UsageError(
            "not a strategy",
            where=origin,
            expected="a name and a method place(waiting, cluster)",
            found=type(made).__name__,
            fix="see SchedulingStrategy, and inherit s2cloud.testing.StrategyContract",
        )
    return made
