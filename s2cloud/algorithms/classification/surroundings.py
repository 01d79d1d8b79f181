"""What lies around a pixel, and what is known of its scene: the words of the later steps."""

from __future__ import annotations

from typing import Final, NamedTuple

from s2cloud.algorithms.classification.rules import UNDECIDED, code_of, inlined, single
from s2cloud.algorithms.classification.sequence import ratio
from s2cloud.model.schema import SCL

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
    "water_index",
    "whiteness",
]

# Bits of the flags that the scene stage hands to the blocks.
CAST: Final = 1  # in the shadow of terrain
LARGE: Final = 2  # inside cloud that survives an opening
BLOB: Final = 4  # inside a cloud so large that coast and town do not matter
COAST: Final = 8  # near the edge of water
LOW: Final = 16  # parallax says: on the ground
HIGH: Final = 32  # well above the ground, by parallax or B10, if it looks like snow
CIRRUS: Final = 64  # B10 of a neighbourhood is beyond what the ground of its class shows
BUILT: Final = 128  # built-up or bare land cover, not beside cloud
URBAN: Final = 256  # near built-up land cover
SEA: Final = 512  # land cover is water
CONFIRMED: Final = 1024  # parallax says: not on the ground
SNOWY: Final = 2048  # snow lies around
DUE: Final = 8192  # the shadow of a cloud whose height is known by its shadow falls here
FOG: Final = 16384  # wide and bright, with as much vapour above as the ground
GAP: Final = 32768  # bright and white together with a cloud around
RIM: Final = 4096  # touches a thick cloud, whose light B10 mixes in
OPEN: Final = code_of(UNDECIDED)
CAST_SHADOW: Final = code_of(SCL.CAST_SHADOW)
CLOUD_SHADOW: Final = code_of(SCL.CLOUD_SHADOW)
BARE: Final = code_of(SCL.NOT_VEGETATED)
WATER: Final = code_of(SCL.WATER)
UNCLASSIFIED: Final = code_of(SCL.UNCLASSIFIED)
MEDIUM: Final = code_of(SCL.CLOUD_MEDIUM_PROBABILITY)
CLOUD: Final = code_of(SCL.CLOUD_HIGH_PROBABILITY)
THIN_CIRRUS: Final = code_of(SCL.THIN_CIRRUS)
SNOW: Final = code_of(SCL.SNOW_ICE)
ZERO: Final = single(0.0)
ONE: Final = single(1.0)
MAP_WATER: Final = 2  # code of water in the map of water bodies
STEEP: Final = single(15.0)  # no water on slopes above. [degree]
CIRRUS_BOTTOM: Final = single(0.012)  # B10 of what step 7 takes for cirrus is above
CIRRUS_ALTITUDE: Final = single(1500.0)  # [m]
_HALF: Final = single(0.5)
WATER_INDEX: Final = single(0.35)  # (B03 - B8A)/(B03 + B8A)


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
    land_white
        `whiteness` of clear land is below. [1]
    brightest_water
        B8A above which nothing in a shadow is water; infinite if not known. [1]
    dimmest_blue, dimmest_green
        B02 and B03 below which water is not sunlit; 0 if not known. [1]
    water_level
        Mean elevation of the water they come from. [m]
    brightest_soil
        B11 of the brightest soil, infinite if not known. [1]
    cloud_b10
        B10 over B02 below which a bright pixel is lower than the scene's clouds, 0 if not
        known. [1]
    snow_green, half_snow
        B03 of the scene's snow, and of pixels half covered by it. [1]
    veil_b10
        Levelled B10 above which snow is seen through cirrus. [1]
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
    land_white: float
    darkest_water: float
    brightest_water: float
    dimmest_blue: float
    dimmest_green: float
    water_level: float
    brightest_soil: float
    cloud_b10: float
    snow_green: float
    half_snow: float
    veil_b10: float
    ground_b10: float
    ground_ratio: float


@inlined
def whiteness(b02: float, b04: float) -> float:
    """How far blue stands out as in clouds and haze; little in soils, which are red.

    Haze optimised transformation as in Zhu and Woodcock (2012), doi:10.1016/j.rse.2011.10.028.
    """
    return b02 - _HALF * b04


@inlined
def water_index(sight: Sight) -> float:
    """(B03 - B8A)/(B03 + B8A)."""
    return ratio(sight.b03 - sight.b8a, sight.b03 + sight.b8a)
