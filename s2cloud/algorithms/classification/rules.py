"""What compiled code is told from outside, and how it is compiled."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeVar, cast

import numba
import numpy as np

from s2cloud.algorithms.classification.thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "UNDECIDED",
    "UNTIL_DECISION",
    "UNTIL_END",
    "UNTIL_WATER",
    "Pixel",
    "Rules",
    "Variant",
    "code_of",
    "compiled",
    "inlined",
    "limits_of",
    "single",
]

Variant = Literal["evolution", "classic"]

F = TypeVar("F", bound="Callable[..., Any]")

#: Code of a pixel that no rule has decided yet; never in a finished map.
UNDECIDED: Final = 100

UNTIL_DECISION: Final = 0
UNTIL_WATER: Final = 1
UNTIL_END: Final = 2


def compiled(function: F) -> F:
    """Compile on the first call, to run without the GIL; later processes load the cache."""
    return cast("F", numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: F) -> F:
    """Compile into the caller; no fastmath, for it would reorder sums by position."""
    return cast("F", numba.njit(cache=True, forceinline=True, error_model="numpy")(function))


def single(value: float) -> float:
    """A constant in float32; a plain float would lift compiled arithmetic to float64."""
    return cast("float", np.float32(value))


def code_of(value: int) -> int:
    """A class code in 32 bits, as wide as the reflectances beside it."""
    return cast("int", np.int32(value))


class Pixel(NamedTuple):
    """The eight bands the sequence reads, TOA reflectance. [1]."""

    b02: float
    b03: float
    b04: float
    b05: float
    b8a: float
    b10: float
    b11: float
    b12: float


class Rules(NamedTuple):
    """Switches of a run.

    Attributes
    ----------
    evolution
        Rules of Sen2Cor 2.10 and later, else those of 2.8.
    snow_possible
        Whether the climatology knows snow in the tile.
    until
        ``UNTIL_DECISION``, ``UNTIL_WATER`` or ``UNTIL_END``.
    model_weight
        Share of a classifier's probability in the cloud confidence. [1]
    """

    evolution: bool
    snow_possible: bool
    until: int
    model_weight: float


# The form of `Thresholds` that compiled code can read; same names, float32.
_Limits: Any = namedtuple("_Limits", [field.name for field in fields(Thresholds)])  # type: ignore[misc]  # noqa: PYI024


def limits_of(thresholds: Thresholds) -> Thresholds:
    """Thresholds as compiled code reads them, in float32."""
    values = (np.float32(getattr(thresholds, field.name)) for field in fields(thresholds))
    return cast("Thresholds", _Limits(*values))
