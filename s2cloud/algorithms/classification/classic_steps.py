"""Steps of Sen2Cor 2.8 alone that look beyond the pixel's spectrum."""

from __future__ import annotations

from typing import Final

from s2cloud.algorithms.classification.rules import code_of, inlined, single
from s2cloud.algorithms.classification.sequence import ratio
from s2cloud.algorithms.classification.shade_steps import shaded_snow
from s2cloud.algorithms.classification.surroundings import (
    BARE,
    CAST_SHADOW,
    CIRRUS,
    CIRRUS_ALTITUDE,
    CLOUD,
    CLOUD_SHADOW,
    MEDIUM,
    SEA,
    STEEP,
    THIN_CIRRUS,
    WATER,
    ZERO,
    Facts,
    Place,
    Sight,
)
from s2cloud.model.schema import SCL

__all__ = [
    "classic_cirrus",
    "classic_ground",
    "classic_terrain",
]

_VEGETATION: Final = code_of(SCL.VEGETATION)
_SHADED: Final = single(0.5)  # cosine of incidence, 128 of 255 in Sen2Cor's hill shade
_DARK_SLOPE: Final = single(0.125)  # 32 of 255


@inlined
def classic_terrain(
    sight: Sight, place: Place, code: int, cloud: float, facts: Facts
) -> tuple[int, float]:
    """Steps 4 to 6 of 2.8: water, shadow and snow against the illumination of slopes."""
    if not facts.terrain:
        return code, cloud
    light = place.cos_incidence
    if code == WATER and light < _SHADED and place.slope > STEEP:
        return CAST_SHADOW, cloud
    if code == CLOUD_SHADOW and ZERO < light < _DARK_SLOPE:
        return CAST_SHADOW, cloud
    if light < _SHADED and shaded_snow(sight, place, code):
        return CAST_SHADOW, cloud
    return code, cloud


@inlined
def classic_ground(
    sight: Sight, place: Place, code: int, cloud: float, facts: Facts
) -> tuple[int, float]:
    """Step 9 of 2.8: bright, but as much water vapour above it as above the land."""
    if code in (MEDIUM, CLOUD) and (place.flags & SEA) == 0:
        vapour = ratio(sight.b09, sight.b8a)
        if sight.b10 < facts.ground_b10 and vapour < facts.ground_ratio:
            return BARE, ZERO
    return code, cloud


@inlined
def classic_cirrus(sight: Sight, place: Place, code: int, facts: Facts) -> int:
    """Step 10 of 2.8: land and water seen through cirrus."""
    if place.elevation >= CIRRUS_ALTITUDE or (place.flags & CIRRUS) == 0:
        return code
    if code in (_VEGETATION, BARE) and sight.b10 > facts.cirrus_land:
        return THIN_CIRRUS
    return THIN_CIRRUS if code == WATER and sight.b10 > facts.cirrus_water else code
