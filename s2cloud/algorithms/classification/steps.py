"""Second thoughts of the scene classification: the steps that look beyond the pixel's spectrum.

Every step is a plain function of a pixel's spectrum (`Sight`), of what lies around it (`Place`)
and of numbers of the whole scene (`Facts`); it returns class, cloud and snow confidence. Compiled
loops, and the explanation of single pixels, call the same functions. Step numbers and thresholds
are those of Sen2Cor 2.10 and later (``evolution``) and of 2.8 (``classic``).

Where Sen2Cor is known to fail the step is kept and mended:

- a pixel that is taken back from cloud loses its cloud confidence as well, so that the two layers
  agree; Sen2Cor does so in some steps only;
- snow is regained beside snow by the index of half snow-covered pixels; 2.8 asks for an infrared
  darker than green, which takes forest, and later versions for one darker than red;
- an *unknown* snow condition is not read as "never snow";
- water in cast shadow stays water where the terrain is level: elevation models are flat on lakes;
- dark features whose water index is as high as in Sen2Cor's own test of bright targets become
  water; the ratio B02/B11 alone misses turbid and shallow lagoons.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from s2cloud.algorithms.classification.kernels import ratio
from s2cloud.algorithms.classification.rules import UNDECIDED, code_of, inlined, single
from s2cloud.model.schema import SCL

__all__ = [
    "BLOB",
    "BUILT",
    "CAST",
    "CIRRUS",
    "COAST",
    "CONFIRMED",
    "HIGH",
    "LARGE",
    "LOW",
    "RIM",
    "SEA",
    "SNOWY",
    "URBAN",
    "Facts",
    "Place",
    "Sight",
    "border",
    "bright_target",
    "built_up",
    "cirrus_statistics",
    "classic_cirrus",
    "classic_ground",
    "classic_shadow",
    "classic_terrain",
    "cloud_shadow",
    "dark_soil",
    "dark_water",
    "final",
    "levelled_b10",
    "line_index",
    "mapped_water",
    "parallax",
    "snow_condition",
    "snow_recovery",
    "terrain_shadow",
    "topography",
    "water_index",
]

# Bits of the flags that the scene stage hands to the blocks.
CAST: Final = 1  # in the shadow of terrain
LARGE: Final = 2  # inside cloud that survives an opening
BLOB: Final = 4  # inside a cloud so large that coast and town do not matter
COAST: Final = 8  # near the edge of water
LOW: Final = 16  # parallax says: on the ground
HIGH: Final = 32  # parallax says: well above the ground
CIRRUS: Final = 64  # B10 of a neighbourhood is beyond what the ground of its class shows
BUILT: Final = 128  # built-up or bare land cover, not beside cloud
URBAN: Final = 256  # near built-up land cover
SEA: Final = 512  # land cover is water
CONFIRMED: Final = 1024  # parallax says: not on the ground
SNOWY: Final = 2048  # snow lies around
RIM: Final = 4096  # touches a thick cloud, whose light B10 mixes in

_OPEN: Final = code_of(UNDECIDED)
_LIT: Final = code_of(13)  # dark, but the sun reaches it
_CAST_SHADOW: Final = code_of(SCL.CAST_SHADOW)
_SHADOW: Final = code_of(SCL.CLOUD_SHADOW)
_VEGETATION: Final = code_of(SCL.VEGETATION)
_BARE: Final = code_of(SCL.NOT_VEGETATED)
_WATER: Final = code_of(SCL.WATER)
_UNCLASSIFIED: Final = code_of(SCL.UNCLASSIFIED)
_MEDIUM: Final = code_of(SCL.CLOUD_MEDIUM_PROBABILITY)
_CLOUD: Final = code_of(SCL.CLOUD_HIGH_PROBABILITY)
_CIRRUS: Final = code_of(SCL.THIN_CIRRUS)
_SNOW: Final = code_of(SCL.SNOW_ICE)

_ZERO: Final = single(0.0)
_ONE: Final = single(1.0)
_HALF: Final = single(0.5)
_THREE: Final = single(3.0)
_MAP_WATER: Final = 2  # code of water in the map of water bodies
_NEVER_SNOW: Final = 0
_SEA_SNOW: Final = 254  # code of water in the map of the snow condition
_STEEP: Final = single(15.0)  # no water on slopes above. [degree]
_LEVEL: Final = single(3.0)  # terrain models are flatter on water. [degree]
_SNOW_SHADOW_SLOPE: Final = single(0.034)  # B02 - B04 of shaded snow is above
_SNOW_SHADOW_BLUE: Final = single(0.20)  # B02 of shaded snow is above
_SOIL_RATIO: Final = single(0.65)  # B02/B11 of dark soil is below
_HALF_SNOW: Final = single(0.4)  # (B03 - B11)/(B03 + B11) of pixels half snow is above
_CIRRUS_BOTTOM: Final = single(0.012)  # B10 of what step 7 takes for cirrus is above
_CIRRUS_TOP: Final = single(0.035)  # B10 of thin cirrus is below
_CIRRUS_ALTITUDE: Final = single(1500.0)  # [m]
_KM: Final = single(0.001)
_ABSORPTION: Final = single(-0.49)  # B10 with the altitude, exponent. [km-1]
_ABSORPTION_RISE: Final = single(-0.011)  # [km-2]
_BRIGHT_GREEN: Final = single(0.319)  # Hollstein et al. (2016), doi:10.3390/rs8080666
_BRIGHT_EDGE_SWIR: Final = single(4.33)
_BRIGHT_SWIR_CIRRUS: Final = single(0.255)
_BRIGHT_COAST: Final = single(0.30)
_WATER_INDEX: Final = single(0.35)  # (B03 - B8A)/(B03 + B8A)
_SHADOW_LIMIT: Final = single(0.05)  # spectral times geometric likelihood
_DIMMED: Final = single(0.75)  # snow in shadow is darker than this share of the scene's snow
_SKYLIGHT: Final = single(1.08)  # B02/B04 of snow in shadow is above
_CLASSIC_WATER: Final = single(6.0)  # B02/B11 of what 2.8 takes for water, no shadow
_SHADED: Final = single(0.5)  # cosine of incidence, 128 of 255 in Sen2Cor's hill shade
_DARK_SLOPE: Final = single(0.125)  # 32 of 255


class Sight(NamedTuple):
    """Bands that the later steps read, TOA reflectance. [1]."""

    b01: float
    b02: float
    b03: float
    b04: float
    b05: float
    b8a: float
    b09: float
    b10: float
    b11: float
    b12: float


class Place(NamedTuple):
    """What lies around a pixel.

    Attributes
    ----------
    flags
        Bits of the scene stage.
    near_snow, border
        1 inside the dilated snow; 1 near snow and near soil; else 0.
    spectral, geometric
        Likelihood of cloud shadow by spectrum and by geometry. [1]
    elevation
        [m]
    slope
        [degree], NaN without terrain
    cos_incidence
        Cosine of the angle between sun and ground, NaN without terrain. [1]
    water, snow_condition
        Codes of the maps, 0 and 255 where there is none.
    """

    flags: int
    near_snow: float
    border: float
    spectral: float
    geometric: float
    elevation: float
    slope: float
    cos_incidence: float
    water: int
    snow_condition: int


class Facts(NamedTuple):
    """Numbers of the whole scene.

    Attributes
    ----------
    evolution
        Steps of Sen2Cor 2.10 and later, else of 2.8.
    cirrus_land, cirrus_water
        B10 above which land and water are seen through cirrus. [1]
    cos_sza
        Cosine of the solar zenith angle. [1]
    cos_lit
        Cosine of the angle of incidence of slopes that the sun surely reaches. [1]
    low_sun
        Whether the solar zenith angle is 45 degrees or more.
    terrain, water_map, snow_map
        Which maps there are.
    snow_rare
        Whether the map of the snow condition knows little snow on the land of the scene.
    shadow_floor
        Spectral likelihood of shadow below which there is none. [1]
    darkest_water
        B11 below which nothing is sunlit, not even water; 0 if not known. [1]
    land_blue
        B02 of clear land is below. [1]
    brightest_water
        B8A above which nothing in a shadow is water; infinite if not known. [1]
    snow_green, half_snow
        B03 of the scene's snow, and of pixels half covered by it. [1]
    ground_b10, ground_ratio
        B10 and B09/B8A below which a bright pixel is ground, NaN if not known; ``classic``. [1]
    """

    evolution: bool
    cirrus_land: float
    cirrus_water: float
    cos_sza: float
    cos_lit: float
    low_sun: bool
    terrain: bool
    water_map: bool
    snow_map: bool
    snow_rare: bool
    shadow_floor: float
    land_blue: float
    darkest_water: float
    brightest_water: float
    snow_green: float
    half_snow: float
    ground_b10: float
    ground_ratio: float


@inlined
def water_index(sight: Sight) -> float:
    """(B03 - B8A)/(B03 + B8A)."""
    return ratio(sight.b03 - sight.b8a, sight.b03 + sight.b8a)


@inlined
def snow_condition(
    place: Place, code: int, cloud: float, snow: float, facts: Facts
) -> tuple[int, float, float]:
    """2.x: snow on open water or where it never snows is cloud."""
    if code == _SNOW and facts.snow_map:
        at_sea = place.snow_condition == _SEA_SNOW and facts.snow_rare
        if at_sea or (facts.evolution and place.snow_condition == _NEVER_SNOW):
            return _MEDIUM, _HALF, _ZERO
    return code, cloud, snow


@inlined
def mapped_water(place: Place, code: int) -> int:
    """Water by map: dark, shaded, unclassified and undecided pixels."""
    undecided = code in (_OPEN, _UNCLASSIFIED, _CAST_SHADOW, _SHADOW)
    return _WATER if undecided and place.water == _MAP_WATER else code


@inlined
def dark_water(sight: Sight, code: int) -> int:
    """Dark features with the index of water."""
    if code == _CAST_SHADOW and sight.b8a < sight.b04 and water_index(sight) > _WATER_INDEX:
        return _WATER
    return code


@inlined
def shaded_snow(sight: Sight, place: Place, code: int) -> bool:
    """Whether a bright bluish pixel may be snow in the shadow of terrain."""
    candidate = code in (_OPEN, _UNCLASSIFIED, _MEDIUM) and place.water != _MAP_WATER
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
    if code == _WATER and (place.slope > _STEEP or (cast and place.slope > _LEVEL)):
        return _CAST_SHADOW, cloud
    if cast and shaded_snow(sight, place, code):
        return _CAST_SHADOW, _ZERO
    if code == _CAST_SHADOW and not cast:
        if facts.low_sun:
            return _LIT, cloud
        if place.cos_incidence > facts.cos_lit:
            return _UNCLASSIFIED, cloud
    return code, cloud


@inlined
def snow_recovery(
    sight: Sight, place: Place, code: int, cloud: float, snow: float, facts: Facts
) -> tuple[int, float, float]:
    """Undecided pixels beside snow that are dark in the infrared are snow.

    ``evolution`` asks for the index of pixels that are at least half snow, 0.4 (Hall et al. 1995,
    doi:10.1016/0034-4257(95)00137-P); B11 below B03 alone takes forest beside snow.
    """
    index = ratio(sight.b03 - sight.b11, sight.b03 + sight.b11)
    least = _HALF_SNOW if facts.evolution else _ZERO
    if code == _OPEN and place.near_snow > _ZERO and index > least:
        return _SNOW, _ZERO, _ONE
    return code, cloud, snow


@inlined
def border(place: Place, code: int, cloud: float) -> tuple[int, float]:
    """Cloud between snow and soil is a mixture of both."""
    if place.border > _ZERO and code in (_MEDIUM, _CLOUD):
        return _BARE, _ZERO
    return code, cloud


@inlined
def dark_soil(sight: Sight, code: int) -> int:
    """Dark features that are brighter in the infrared than in blue."""
    if code == _CAST_SHADOW and ratio(sight.b02, sight.b11) < _SOIL_RATIO:
        return _BARE
    return code


@inlined
def levelled_b10(sight: Sight, place: Place, facts: Facts) -> float:
    """B10 as it would be at sea level on a horizontal surface."""
    if not facts.terrain:
        return sight.b10
    height = place.elevation * _KM
    facing = min(max(place.cos_incidence, facts.cos_sza), _ONE)
    vapour: Any = np.float32(math.exp((_ABSORPTION + _ABSORPTION_RISE * height) * height))
    level: float = sight.b10 * facts.cos_sza / facing * vapour
    return level


@inlined
def cirrus_statistics(sight: Sight, place: Place, code: int, facts: Facts) -> int:
    """Cirrus by what B10 shows of clear ground in this scene.

    The scene stage compares B10 with the ground, on 60 m as B10 is; a bright or high ground shows
    in B10, so snow, which is both, is left alone. B10 has pixels of 60 m: beside a thick cloud it
    shows that cloud, so there a pixel must be brighter in blue than land is.
    """
    if (place.flags & CIRRUS) == 0 or code in (_MEDIUM, _CLOUD, _CIRRUS, _SNOW):
        return code
    if (place.flags & RIM) != 0 and sight.b10 <= _CIRRUS_BOTTOM and sight.b02 < facts.land_blue:
        return code
    low = not place.elevation >= _CIRRUS_ALTITUDE
    return _CIRRUS if low and sight.b10 < _CIRRUS_TOP else code


@inlined
def built_up(place: Place, code: int, cloud: float) -> tuple[int, float]:
    """Built-up and bare land cover that is not beside cloud."""
    if (place.flags & BUILT) != 0 and code in (_OPEN, _UNCLASSIFIED, _MEDIUM):
        return _BARE, _ZERO
    return code, cloud


@inlined
def bright_target(
    sight: Sight, place: Place, lines: float, code: int, cloud: float, facts: Facts
) -> tuple[int, float]:
    """Bright ground outside large clouds, by its spectrum or by lines of built-up land."""
    if code not in (_UNCLASSIFIED, _MEDIUM, _CLOUD) or (place.flags & LARGE) != 0:
        return code, cloud
    if facts.water_map:
        if place.water == _MAP_WATER:
            return code, cloud
    elif water_index(sight) > _WATER_INDEX:
        return code, cloud
    ground = (
        sight.b03 > _BRIGHT_GREEN
        and ratio(sight.b05, sight.b11) < _BRIGHT_EDGE_SWIR
        and sight.b11 - sight.b10 > _BRIGHT_SWIR_CIRRUS
        and sight.b01 < _BRIGHT_COAST
    )
    ndvi = ratio(sight.b8a - sight.b04, sight.b8a + sight.b04)
    if ground or (lines > _ZERO and lines > ndvi):
        return _BARE, _ZERO
    return code, cloud


@inlined
def parallax(
    sight: Sight, place: Place, code: int, cloud: float, snow: float
) -> tuple[int, float, float]:
    """What does not move between two bands is no cloud, and snow that moves is one.

    Sen2Cor asks for B10 below the cirrus limit of *land*; bright ground, which this is about,
    exceeds it, so the limit here is that of step 7.
    """
    if (place.flags & LOW) != 0 and code in (_UNCLASSIFIED, _MEDIUM, _CLOUD):
        if sight.b10 <= _CIRRUS_BOTTOM:
            return (_WATER if place.water == _MAP_WATER else _BARE), _ZERO, snow
    elif (place.flags & HIGH) != 0 and code == _SNOW:
        return _MEDIUM, _HALF, _ZERO
    return code, cloud, snow


@inlined
def dim_snow(sight: Sight, code: int, facts: Facts) -> bool:
    """Whether snow is dim, and blue by the light of the sky, as in shadow."""
    return bool(
        code == _SNOW
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
    if place.geometric <= _ZERO:
        return code
    if not facts.evolution:
        return classic_shadow(sight, place, code)
    if code in (_MEDIUM, _CLOUD) or (code == _CIRRUS and sight.b10 > _CIRRUS_BOTTOM):
        return code
    deep = sight.b11 < facts.darkest_water and place.water != _MAP_WATER
    wet = place.water == _MAP_WATER if facts.water_map else code == _WATER
    # Water is not brighter in the infrared in shadow than the scene's water is in the sun.
    unlike = code == _WATER and sight.b8a > facts.brightest_water and place.water != _MAP_WATER
    wet = wet and water_index(sight) > _WATER_INDEX and not unlike
    sure = deep or unlike or code == _CAST_SHADOW or dim_snow(sight, code, facts)
    if not sure and (wet or place.spectral < facts.shadow_floor):
        return code
    # A dark feature needs no other proof than that a shadow is due here.
    likely = _ONE if sure else place.spectral
    return _SHADOW if likely * place.geometric > _SHADOW_LIMIT else code


@inlined
def classic_shadow(sight: Sight, place: Place, code: int) -> int:
    """Shadow of 2.8: no shadow on what it takes for water, none seen through cirrus."""
    if code == _CIRRUS or ratio(sight.b02, sight.b11) > _CLASSIC_WATER:
        return code
    return _SHADOW if place.spectral * place.geometric > _SHADOW_LIMIT else code


@inlined
def terrain_shadow(place: Place, code: int) -> int:
    """Where terrain shades as well, the shadow is the terrain's; lit dark ground is bare."""
    if code == _SHADOW and (place.flags & CAST) != 0:
        return _CAST_SHADOW
    return _BARE if code == _LIT else code


@inlined
def classic_terrain(
    sight: Sight, place: Place, code: int, cloud: float, facts: Facts
) -> tuple[int, float]:
    """Steps 4 to 6 of 2.8: water, shadow and snow against the illumination of slopes."""
    if not facts.terrain:
        return code, cloud
    light = place.cos_incidence
    if code == _WATER and light < _SHADED and place.slope > _STEEP:
        return _CAST_SHADOW, cloud
    if code == _SHADOW and _ZERO < light < _DARK_SLOPE:
        return _CAST_SHADOW, cloud
    if light < _SHADED and shaded_snow(sight, place, code):
        return _CAST_SHADOW, cloud
    return code, cloud


@inlined
def classic_ground(
    sight: Sight, place: Place, code: int, cloud: float, facts: Facts
) -> tuple[int, float]:
    """Step 9 of 2.8: bright, but as much water vapour above it as above the land."""
    if code in (_MEDIUM, _CLOUD) and (place.flags & SEA) == 0:
        vapour = ratio(sight.b09, sight.b8a)
        if sight.b10 < facts.ground_b10 and vapour < facts.ground_ratio:
            return _BARE, _ZERO
    return code, cloud


@inlined
def classic_cirrus(sight: Sight, place: Place, code: int, facts: Facts) -> int:
    """Step 10 of 2.8: land and water seen through cirrus."""
    if place.elevation >= _CIRRUS_ALTITUDE or (place.flags & CIRRUS) == 0:
        return code
    if code in (_VEGETATION, _BARE) and sight.b10 > facts.cirrus_land:
        return _CIRRUS
    return _CIRRUS if code == _WATER and sight.b10 > facts.cirrus_water else code


@inlined
def final(code: int, facts: Facts) -> int:
    """Class of what no step has decided."""
    if code == _OPEN:
        return _BARE if facts.evolution else _UNCLASSIFIED
    return code


@inlined
def line_index(near: tuple[float, ...]) -> float:
    """Largest mean along four lines through the middle of nine values, row by row."""
    across = near[3] + near[5]
    down = near[1] + near[7]
    falling = near[0] + near[8]
    rising = near[2] + near[6]
    return (near[4] + max(across, down, falling, rising)) / _THREE
