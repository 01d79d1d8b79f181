"""What a trace of a pixel is made of: steps, and what its class depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from s2cloud.algorithms.classification.rules import (
    UNDECIDED,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.classification.scene import ClassificationScene
    from s2cloud.algorithms.classification.steps import Place
    from s2cloud.algorithms.classification.window import Options

    Floats = npt.NDArray[np.float32]

__all__ = [
    "Step",
    "Traced",
    "Tracer",
]


@dataclass(frozen=True, slots=True)
class Step:
    """One test of one pixel.

    Attributes
    ----------
    name, rule
        Number and name; what is asked, with its limits.
    values
        What the pixel has to show.
    outcome
        What changed, ``-`` if nothing did.
    scl
        Class afterwards, 100 = not yet decided.
    cloud, snow
        Confidences afterwards. [1]
    """

    name: str
    rule: str
    values: str
    outcome: str
    scl: int
    cloud: float
    snow: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A pixel and all that its class depends on.

    Attributes
    ----------
    toa
        TOA reflectance of the thirteen bands. [1], shape (13,)
    place
        What lies around it.
    lines
        Index of built-up land along the best line.
    model
        Cloud probability of a classifier, NaN = none. [1]
    defective
        Whether a band is saturated or lost.
    refined
        Class before classes are grown.
    finished
        Class, cloud and snow probability in the product. [1, %, %]
    scene, options
        Scene and choices.
    """

    toa: Floats
    place: Place
    lines: float
    model: float
    defective: bool
    refined: int
    finished: tuple[int, int, int]
    scene: ClassificationScene
    options: Options


class Tracer:
    """Class and confidences of a pixel, and the steps so far."""

    def __init__(self) -> None:
        self.code: Any = np.int32(UNDECIDED)
        self.cloud: Any = np.float32(0.0)
        self.snow: Any = np.float32(0.0)
        self.steps: list[Step] = []

    def put(self, name: str, rule: str, values: dict[str, float], **new: Any) -> None:
        """Record a step and take over what it changed."""
        changes = []
        for key in ("code", "cloud", "snow"):
            if key in new:
                old, value = getattr(self, key), new[key]
                value = np.int32(value) if key == "code" else np.float32(value)
                if value != old:
                    changes.append(_change(key, old, value))
                setattr(self, key, value)
        told = ", ".join(f"{k} {_number(v)}" for k, v in values.items())
        self.steps.append(
            Step(
                name,
                rule,
                told,
                "; ".join(changes) or "-",
                int(self.code),
                float(self.cloud),
                float(self.snow),
            )
        )


def _change(key: str, old: Any, new: Any) -> str:
    if key == "code":
        return f"class {_class(old)} -> {_class(new)}"
    return f"{key} {float(old):.3f} -> {float(new):.3f}"


def _class(code: Any) -> str:
    return "undecided" if int(code) == UNDECIDED else str(int(code))


def _number(value: float) -> str:
    return f"{float(value):.4g}"
