"""What the scenes are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from s2cloud.model.errors import UsageError

__all__ = ["SCENES", "Recipe", "recipe"]

_FIELDS: Final[dict[str, float]] = {
    "crop_dense": 0.15,
    "crop_bright": 0.11,
    "crop_mature": 0.10,
    "meadow": 0.14,
    "pasture": 0.10,
    "orchard": 0.06,
    "grass_dry": 0.05,
    "grass_senescent": 0.05,
    "stubble": 0.06,
    "stubble_bright": 0.04,
    "soil_dark": 0.05,
    "soil_brown": 0.04,
    "soil_loam": 0.03,
    "soil_bright": 0.02,
}
_GREEN: Final[dict[str, float]] = {
    "crop_dense": 0.25,
    "crop_bright": 0.20,
    "crop_mature": 0.15,
    "meadow": 0.20,
    "pasture": 0.08,
    "orchard": 0.06,
    "stubble": 0.03,
    "soil_dark": 0.03,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Shares of a scene.

    Attributes
    ----------
    forest, lake, town, snow
        Shares of the image. [1]
    fields
        Surfaces of the rest, with their shares of it.
    cloud, cirrus
        Shares of the image under thick cloud and under thin cirrus. [1]
    """

    forest: float = 0.28
    lake: float = 0.07
    town: float = 0.10
    snow: float = 0.0
    fields: dict[str, float] = field(default_factory=lambda: dict(_FIELDS))
    cloud: float = 0.0
    cirrus: float = 0.0


SCENES: Final[dict[str, Recipe]] = {
    "mixed": Recipe(cloud=0.08, cirrus=0.08),
    "clear": Recipe(),
    "vegetation": Recipe(forest=0.45, lake=0.01, town=0.02, fields=dict(_GREEN)),
    "snow": Recipe(forest=0.20, lake=0.05, town=0.05, snow=0.30),
}


def recipe(scene: str) -> Recipe:
    """Recipe of a scene by name.

    Parameters
    ----------
    scene
        One of `SCENES`.

    Raises
    ------
    UsageError
        If there is no such scene.
    """
    try:
        return SCENES[scene]
    except KeyError:
        raise UsageError(
            "no such scene", where=repr(scene), expected="one of " + ", ".join(SCENES)
        ) from None
