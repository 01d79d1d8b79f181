"""What the scenes are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from s2cloud.model.errors import UsageError

__all__ = ["SCENES", "CloudLayer", "Ground", "Recipe", "recipe"]

Ground = Literal["mosaic", "desert", "coast", "snow", "mountain", "patches"]

_FIELDS: Final[dict[str, float]] = {
    "crop_dense": 0.06, "crop_lush": 0.04, "crop_bright": 0.06, "crop_yellow": 0.03,
    "crop_mature": 0.05, "crop_pale": 0.03, "crop_row": 0.03, "crop_blue": 0.02, "crop_fresh": 0.03,
    "crop_vivid": 0.04, "crop_full": 0.04, "crop_young": 0.03, "clover": 0.02,
    "meadow": 0.09, "meadow_lush": 0.05, "meadow_dry": 0.03,
    "pasture": 0.07, "orchard": 0.05, "grass_dry": 0.03, "grass_senescent": 0.03,
    "grass_brown": 0.02, "grass_straw": 0.02, "stubble": 0.04, "stubble_bright": 0.03,
    "soil_dark": 0.04, "soil_wet": 0.02, "soil_brown": 0.03, "soil_clay": 0.02, "soil_grey": 0.01,
    "soil_loam": 0.02, "soil_bright": 0.01, "soil_pale": 0.01,
}  # fmt: skip
_GREEN: Final[dict[str, float]] = {
    "crop_dense": 0.12, "crop_lush": 0.08, "crop_bright": 0.10, "crop_yellow": 0.07,
    "crop_mature": 0.10, "crop_blue": 0.04, "crop_fresh": 0.05, "crop_vivid": 0.05,
    "crop_full": 0.06, "clover": 0.03, "meadow": 0.12, "meadow_lush": 0.08,
    "pasture": 0.06, "orchard": 0.04, "stubble": 0.02, "soil_dark": 0.03,
}  # fmt: skip
_WINTER: Final[dict[str, float]] = {
    "soil_wet": 0.2, "soil_dark": 0.2, "grass_brown": 0.2, "pasture": 0.15, "scrub": 0.1,
    "stubble": 0.1, "gravel": 0.05,
}  # fmt: skip
_VALLEY: Final[dict[str, float]] = {
    "meadow": 0.3, "meadow_lush": 0.2, "pasture": 0.2, "meadow_dry": 0.1, "crop_row": 0.1,
    "soil_dark": 0.1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CloudLayer:
    """A layer of clouds.

    Attributes
    ----------
    share
        Share of the sky. [1]
    heights
        Least and greatest height of the tops above the mean ground. [m]
    thickness
        Optical thickness of thick parts. [1]
    ice
        Share of ice in the tops. [1]
    size
        Size of the largest single clouds. [m]
    """

    share: float
    heights: tuple[float, float]
    thickness: float = 35.0
    ice: float = 0.0
    size: float = 4_000.0


def _low(share: float) -> CloudLayer:
    return CloudLayer(share, (800.0, 2_500.0))


def _middle(share: float) -> CloudLayer:
    return CloudLayer(share, (3_000.0, 5_000.0), thickness=20.0, ice=0.6, size=9_000.0)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Shares of a scene.

    Attributes
    ----------
    ground
        Kind of landscape.
    forest, lake, sea, town, snow
        Shares of the image, as far as the kind of landscape has them. [1]
    bright
        Share of buildings with bright roofs. [1]
    fields
        Surfaces of the rest, with their shares of it.
    relief
        Lowest and highest ground above the elevation of the scene. [m] Where slopes would become
        too steep over the size of the image, the highest ground is lower.
    steep
        Whether the relief is that of mountains.
    layers
        Layers of clouds, the lowest first.
    cirrus
        Share of the image under thin cirrus. [1]
    """

    ground: Ground = "mosaic"
    forest: float = 0.28
    lake: float = 0.07
    sea: float = 0.0
    town: float = 0.10
    snow: float = 0.0
    bright: float = 0.05
    fields: dict[str, float] = field(default_factory=lambda: dict(_FIELDS))
    relief: tuple[float, float] = (0.0, 120.0)
    steep: bool = False
    layers: tuple[CloudLayer, ...] = ()
    cirrus: float = 0.0


SCENES: Final[dict[str, Recipe]] = {
    "mixed": Recipe(layers=(_low(0.06), _middle(0.02)), cirrus=0.08),
    "clear": Recipe(),
    "vegetation": Recipe(forest=0.45, lake=0.01, town=0.02, fields=_GREEN),
    "desert": Recipe("desert", lake=0.0, forest=0.0, town=0.02, bright=0.06, relief=(0, 150)),
    "coast": Recipe("coast", forest=0.15, lake=0.0, sea=0.50, town=0.12, bright=0.12),
    "snow": Recipe(
        "snow", forest=0.25, lake=0.06, town=0.05, snow=0.75, fields=_WINTER,
        layers=(_low(0.05), _middle(0.03)), cirrus=0.02,
    ),
    "mountain": Recipe(
        "mountain", forest=0.30, lake=0.02, town=0.02, snow=0.20, fields=_VALLEY,
        relief=(300.0, 3_100.0), steep=True, layers=(_middle(0.04),),
    ),
    "cloudy": Recipe(layers=(_low(0.29), _middle(0.15)), cirrus=0.10),
    "patches": Recipe("patches", forest=0, lake=0, town=0, relief=(0, 0)),
}  # fmt: skip


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
