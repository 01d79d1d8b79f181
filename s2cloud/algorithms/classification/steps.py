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
from typing import Any, Final

import numpy as np

from s2cloud.algorithms.classification.classic_steps import (
    classic_cirrus,
    classic_ground,
    classic_terrain,
)
from s2cloud.algorithms.classification.rules import inlined, single
from s2cloud.algorithms.classification.sequence import ratio
from s2cloud.algorithms.classification.shade_steps import (
    classic_shadow,
    cloud_shadow,
    terrain_shadow,
    topography,
)
from s2cloud.algorithms.classification.surroundings import (
    BARE,
    BLOB,
    BUILT,
    CAST,
    CAST_SHADOW,
    CIRRUS,
    CIRRUS_ALTITUDE,
    CIRRUS_BOTTOM,
    CLOUD,
    CLOUD_SHADOW,
    COAST,
    CONFIRMED,
    DUE,
    FOG,
    GAP,
    HIGH,
    LARGE,
    LOW,
    MAP_WATER,
    MEDIUM,
    ONE,
    OPEN,
    RIM,
    SEA,
    SNOW,
    SNOWY,
    THIN_CIRRUS,
    UNCLASSIFIED,
    URBAN,
    WATER,
    WATER_INDEX,
    ZERO,
    Facts,
    Place,
    Sight,
    water_index,
    whiteness,
)

__all__ = [
    "BLOB",
    "BUILT",
    "CAST",
    "CIRRUS",
    "COAST",
    "CONFIRMED",
    "DUE",
    "FOG",
    "GAP",
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
    "cloud_gap",
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
    "whiteness",
]

_HALF: Final = single(0.5)
_THREE: Final = single(3.0)
_NEVER_SNOW: Final = 0
_SEA_SNOW: Final = 254  # code of water in the map of the snow condition
_SOIL_RATIO: Final = single(0.65)  # B02/B11 of dark soil is below
_HALF_SNOW: Final = single(0.4)  # (B03 - B11)/(B03 + B11) of pixels half snow is above
_CIRRUS_TOP: Final = single(0.035)  # B10 of thin cirrus is below
_KM: Final = single(0.001)
_ABSORPTION: Final = single(-0.49)  # B10 with the altitude, exponent. [km-1]
_ABSORPTION_RISE: Final = single(-0.011)  # [km-2]
_BRIGHT_GREEN: Final = single(0.319)  # Hollstein et al. (2016), doi:10.3390/rs8080666
_BRIGHT_EDGE_SWIR: Final = single(4.33)
_BRIGHT_SWIR_CIRRUS: Final = single(0.255)
_BRIGHT_COAST: Final = single(0.30)
_HAZY_INDEX: Final = single(0.40)  # (B03 - B11)/(B03 + B11) of water in haze is above
_SUNLIT_SWIR: Final = single(0.0)  # B12 of what the sun reaches is above
_SHADED_SWIR: Final = single(0.06)  # B11 of anything in shadow is below
_BRIGHT_B10: Final = single(2.0)  # B10 of bright ground over the most that land shows is below
_SNOW_SWIR: Final = single(0.95)  # B12/B11 of snow is above
_ABOVE_GROUND: Final = single(1.5)  # B10 of snow and soil over the most that land shows is below


@inlined
def snow_condition(
    place: Place, code: int, cloud: float, snow: float, facts: Facts
) -> tuple[int, float, float]:
    """2.x: snow on open water or where it never snows is cloud."""
    if code == SNOW and facts.snow_map:
        at_sea = place.snow_condition == _SEA_SNOW and facts.snow_rare
        if at_sea or (facts.evolution and place.snow_condition == _NEVER_SNOW):
            return MEDIUM, _HALF, ZERO
    return code, cloud, snow


@inlined
def mapped_water(place: Place, code: int) -> int:
    """Water by map: dark, shaded, unclassified and undecided pixels."""
    undecided = code in (OPEN, UNCLASSIFIED, CAST_SHADOW, CLOUD_SHADOW)
    return WATER if undecided and place.water == MAP_WATER else code


@inlined
def dark_water(sight: Sight, code: int) -> int:
    """Dark features with the index of water, in the near infrared or, in haze, beyond it.

    Haze and bright shores add to B8A, hardly to B11 (index of Xu 2006,
    doi:10.1080/01431160600589179).
    """
    if code != CAST_SHADOW or sight.b8a >= sight.b04:
        return code
    swir = ratio(sight.b03 - sight.b11, sight.b03 + sight.b11)
    hazy = swir > _HAZY_INDEX and sight.b12 > _SUNLIT_SWIR
    return WATER if hazy or water_index(sight) > WATER_INDEX else code


@inlined
def snow_recovery(
    sight: Sight, place: Place, code: int, cloud: float, snow: float, facts: Facts
) -> tuple[int, float, float]:
    """Undecided pixels beside snow that are dark in the infrared are snow.

    ``evolution`` asks for the index of pixels that are at least half snow, 0.4 (Hall et al. 1995,
    doi:10.1016/0034-4257(95)00137-P); B11 below B03 alone takes forest beside snow.
    """
    index = ratio(sight.b03 - sight.b11, sight.b03 + sight.b11)
    least = _HALF_SNOW if facts.evolution else ZERO
    if code == OPEN and place.near_snow > ZERO and index > least:
        return SNOW, ZERO, ONE
    return code, cloud, snow


@inlined
def border(sight: Sight, place: Place, code: int, cloud: float, facts: Facts) -> tuple[int, float]:
    """Cloud between snow and soil is a mixture of both, unless it outshines them.

    No mixture is brighter than its parts, which in B11 is the soil, and B10 hardly sees either.
    """
    mixed = sight.b11 <= facts.brightest_soil and sight.b10 <= _ABOVE_GROUND * facts.cirrus_land
    if place.border > ZERO and code in (MEDIUM, CLOUD) and mixed:
        return BARE, ZERO
    return code, cloud


@inlined
def dark_soil(sight: Sight, code: int, facts: Facts) -> int:
    """Dark features that are brighter in the infrared than in blue, or than shadow can be.

    The sky gives a twentieth of the light at 1.6 um and less, so whatever is in shadow, B11 is
    next to nothing; basalt and asphalt are dark, but not that dark. A terrain model knows better.
    """
    if code != CAST_SHADOW:
        return code
    lit = facts.evolution and not facts.terrain and sight.b11 > _SHADED_SWIR
    return BARE if lit or ratio(sight.b02, sight.b11) < _SOIL_RATIO else code


@inlined
def levelled_b10(sight: Sight, place: Place, facts: Facts) -> float:
    """B10 as it would be at sea level on a horizontal surface."""
    if not facts.terrain:
        return sight.b10
    height = place.elevation * _KM
    facing = min(max(place.cos_incidence, facts.cos_sza), ONE)
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
    if (place.flags & CIRRUS) == 0 or code in (MEDIUM, CLOUD, THIN_CIRRUS, SNOW):
        return code
    if (place.flags & RIM) != 0 and sight.b10 <= CIRRUS_BOTTOM and sight.b02 < facts.land_blue:
        return code
    low = not place.elevation >= CIRRUS_ALTITUDE
    return THIN_CIRRUS if low and sight.b10 < _CIRRUS_TOP else code


@inlined
def built_up(place: Place, code: int, cloud: float) -> tuple[int, float]:
    """Built-up and bare land cover that is not beside cloud."""
    if (place.flags & BUILT) != 0 and code in (OPEN, UNCLASSIFIED, MEDIUM):
        return BARE, ZERO
    return code, cloud


@inlined
def bright_target(
    sight: Sight, place: Place, lines: float, code: int, cloud: float, facts: Facts
) -> tuple[int, float]:
    """Bright ground: below the vapour that clouds are above, or by its spectrum or its lines.

    The latter two only outside large clouds. The first compares B10 over B02 with the clouds of
    the scene; wide bright places of that kind may be fog and stay.
    """
    wet = place.water == MAP_WATER
    if not facts.water_map:
        wet = water_index(sight) > WATER_INDEX
    if wet or code not in (UNCLASSIFIED, MEDIUM, CLOUD):
        return code, cloud
    if (place.flags & FOG) == 0 and sight.b10 < facts.cloud_b10 * sight.b02:
        return BARE, ZERO
    if (place.flags & LARGE) != 0:
        return code, cloud
    ground = (
        sight.b03 > _BRIGHT_GREEN
        and ratio(sight.b05, sight.b11) < _BRIGHT_EDGE_SWIR
        and sight.b11 - sight.b10 > _BRIGHT_SWIR_CIRRUS
        and sight.b01 < _BRIGHT_COAST
    )
    ndvi = ratio(sight.b8a - sight.b04, sight.b8a + sight.b04)
    if ground or (lines > ZERO and lines > ndvi):
        return BARE, ZERO
    return code, cloud


@inlined
def parallax(
    sight: Sight, place: Place, code: int, cloud: float, snow: float, facts: Facts
) -> tuple[int, float, float]:
    """What does not move between two bands is no cloud, and snow that is above the ground is one.

    Sen2Cor asks for B10 below the cirrus limit of *land*; bright ground, which this is about,
    exceeds it, so the limit here is twice as high, and at most that of step 7.

    Fine grains of snow are bright at 1.4 um, too, and B10 beside a cloud holds some of it. But
    snow is as bright in B12 as in B11, while drops absorb far more at 2.2 um (see
    `s2cloud.algorithms.classification.mixtures`). Crystals do not, so that a cloud of ice must be
    as bright in B10 as step 7 asks for, or brighter than grains and terrain make snow.
    """
    if (place.flags & LOW) != 0 and code in (UNCLASSIFIED, MEDIUM, CLOUD):
        limit = min(CIRRUS_BOTTOM, _BRIGHT_B10 * facts.cirrus_land)
        if levelled_b10(sight, place, facts) <= limit:
            return (WATER if place.water == MAP_WATER else BARE), ZERO, snow
    elif (place.flags & HIGH) != 0 and code == SNOW:
        if sight.b12 < _SNOW_SWIR * sight.b11 or sight.b10 > CIRRUS_BOTTOM:
            return MEDIUM, _HALF, ZERO
        if levelled_b10(sight, place, facts) > facts.veil_b10:
            return THIN_CIRRUS, cloud, ZERO
    return code, cloud, snow


@inlined
def cloud_gap(
    sight: Sight, place: Place, code: int, cloud: float, facts: Facts
) -> tuple[int, float]:
    """Land as bright and white as the cloud it touches is part of that cloud.

    Step 1.2 takes all confidence from what is far brighter in B11 than in B03, which low clouds of
    small drops are over plants. Bright targets and parallax have their say afterwards.
    """
    if (place.flags & GAP) == 0:
        return code, cloud
    alike = whiteness(sight.b02, sight.b04) > facts.land_white and sight.b02 > facts.land_blue
    alike = alike and (place.flags & SNOWY) == 0
    if alike and code in (OPEN, BARE, UNCLASSIFIED):
        return MEDIUM, _HALF
    return code, cloud


@inlined
def final(code: int, facts: Facts) -> int:
    """Class of what no step has decided."""
    if code == OPEN:
        return BARE if facts.evolution else UNCLASSIFIED
    return code


@inlined
def line_index(near: tuple[float, ...]) -> float:
    """Largest mean along four lines through the middle of nine values, row by row."""
    across = near[3] + near[5]
    down = near[1] + near[7]
    falling = near[0] + near[8]
    rising = near[2] + near[6]
    return (near[4] + max(across, down, falling, rising)) / _THREE
