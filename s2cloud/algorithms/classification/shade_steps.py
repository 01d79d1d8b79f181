"""Steps that tell shadows of clouds and of terrain from water, dark ground and snow."""

from __future__ import annotations

from typing import Final

from s2cloud.algorithms.classification.rules import code_of, inlined, single
from s2cloud.algorithms.classification.sequence import ratio
from s2cloud.algorithms.classification.surroundings import (
    BARE,
    CAST,
    CAST_SHADOW,
    CIRRUS_BOTTOM,
    CLOUD,
    CLOUD_SHADOW,
    DUE,
    MAP_WATER,
    MEDIUM,
    ONE,
    OPEN,
    SNOW,
    SNOWY,
    STEEP,
    THIN_CIRRUS,
    UNCLASSIFIED,
    WATER,
    WATER_INDEX,
    ZERO,
    Facts,
    Place,
    Sight,
    water_index,
)

__all__ = [
    "classic_shadow",
    "cloud_shadow",
    "dim_snow",
    "shaded_snow",
    "terrain_shadow",
    "topography",
]

_LIT: Final = code_of(13)  # dark, but the sun reaches it
_LEVEL: Final = single(3.0)  # terrain models are flatter on water. [degree]
_SNOW_SHADOW_SLOPE: Final = single(0.034)  # B02 - B04 of shaded snow is above
_SNOW_SHADOW_BLUE: Final = single(0.20)  # B02 of shaded snow is above
_SHADOW_LIMIT: Final = single(0.05)  # spectral times geometric likelihood
_FACING: Final = single(0.75)  # share of the sun on level ground
_STILL_DARK: Final = single(2.5)  # B11 of shaded land that looks like water, over `darkest_water`
_SAME_LEVEL: Final = single(200.0)  # [m]
_DIMMED: Final = single(0.75)  # snow in shadow is darker than this share of the scene's snow
_SKYLIGHT: Final = single(1.08)  # B02/B04 of snow in shadow is above
_CLASSIC_WATER: Final = single(6.0)  # B02/B11 of what 2.8 takes for water, no shadow


@inlined
def shaded_snow(sight: Sight, place: Place, code: int) -> bool:
    """Whether a bright bluish pixel may be snow in the shadow of terrain."""
    candidate = code in (OPEN, UNCLASSIFIED, MEDIUM) and place.water != MAP_WATER
    return bool(
        candidate
        and sight.b02 - sight.b04 > _SNOW_SHADOW_SLOPE
        and sight.b8a < sight.b04
        and sight.b02 > _SNOW_SHADOW_BLUE
    )


@inlined
def topography(
    sight: Sight, place: Place, code: int, cloud: float, facts: Facts
) -> tuple[int, float]:
    """Water not on slopes; dark features are shadow only where terrain shades them."""
    if not facts.terrain:
        return code, cloud
    cast = (place.flags & CAST) != 0
    if code == WATER and (place.slope > STEEP or (cast and place.slope > _LEVEL)):
        return CAST_SHADOW, cloud
    if cast and shaded_snow(sight, place, code):
        return CAST_SHADOW, ZERO
    if code == CAST_SHADOW and not cast:
        if facts.low_sun:
            return _LIT, cloud
        if place.cos_incidence > facts.cos_lit:
            return UNCLASSIFIED, cloud
    return code, cloud


@inlined
def dim_snow(sight: Sight, place: Place, code: int, facts: Facts) -> bool:
    """Whether snow is dim, and blue by the light of the sky, as in shadow.

    In deep shadow it is as dark as water in the infrared, but brighter in blue than step 5.2 lets
    water be.
    """
    if code == WATER:
        around = (place.flags & SNOWY) != 0 and place.water != MAP_WATER
        return bool(around and sight.b02 > _SNOW_SHADOW_BLUE)
    return bool(
        code == SNOW
        and sight.b03 < _DIMMED * facts.snow_green
        and sight.b02 > _SKYLIGHT * sight.b04
        and sight.b8a <= sight.b04
    )


@inlined
def cloud_shadow(sight: Sight, place: Place, code: int, facts: Facts) -> int:
    """Dark where the geometry expects the shadow of a cloud; overrides other classes.

    Deep shadow looks like water, but nothing the sun reaches is darker in the short-wave infrared
    than sunlit water. A veil too thin for step 7 does not hide a shadow.
    """
    if place.geometric <= ZERO:
        return code
    if not facts.evolution:
        return classic_shadow(sight, place, code)
    if code in (MEDIUM, CLOUD):
        return code
    if code == THIN_CIRRUS and sight.b10 > CIRRUS_BOTTOM:
        return code
    deep = sight.b11 < facts.darkest_water and place.water != MAP_WATER
    wet = place.water == MAP_WATER if facts.water_map else code == WATER
    # Water is not brighter in the infrared in shadow than the scene's water is in the sun.
    # Shores are, and brighter in the short-wave infrared as well.
    unlike = code == WATER and sight.b8a > facts.brightest_water and place.water != MAP_WATER
    unlike = unlike and sight.b11 < _STILL_DARK * facts.darkest_water
    wet = wet and water_index(sight) > WATER_INDEX and not unlike
    due = code == WATER and (place.flags & DUE) != 0
    # Over higher ground there is less air, and all is dimmer.
    dim = not place.elevation > facts.water_level + _SAME_LEVEL
    dim = dim and sight.b02 < facts.dimmest_blue and sight.b03 < facts.dimmest_green
    shaded_water = place.water != MAP_WATER and (due or (dim and code == WATER))
    # On slopes that turn from the sun, dark ground and dim snow prove nothing.
    faces = not place.cos_incidence < _FACING * facts.cos_sza
    dark = faces and (code == CAST_SHADOW or dim_snow(sight, place, code, facts))
    sure = deep or unlike or shaded_water or dark
    if not sure and (wet or place.spectral < facts.shadow_floor):
        return code
    # A dark feature needs no other proof than that a shadow is due here.
    likely = ONE if sure else place.spectral
    return CLOUD_SHADOW if likely * place.geometric > _SHADOW_LIMIT else code


@inlined
def classic_shadow(sight: Sight, place: Place, code: int) -> int:
    """Shadow of 2.8: no shadow on what it takes for water, none seen through cirrus."""
    if code == THIN_CIRRUS or ratio(sight.b02, sight.b11) > _CLASSIC_WATER:
        return code
    return CLOUD_SHADOW if place.spectral * place.geometric > _SHADOW_LIMIT else code


@inlined
def terrain_shadow(place: Place, code: int) -> int:
    """Where terrain shades as well, the shadow is the terrain's; lit dark ground is bare."""
    if code == CLOUD_SHADOW and (place.flags & CAST) != 0:
        return CAST_SHADOW
    return BARE if code == _LIT else code
