"""Mixed and dimmed pixels that the genuine steps confuse: snow in forest, foam, shores.

Steps of ``evolution`` only, beside those of `s2cloud.algorithms.classification.steps`. Each rests
on what sets the two things apart physically:

- Ice absorbs at 2.2 um, and snow grains are coarser than cloud droplets and crystals, so snow, and
  any mixture of snow and plants, is far darker there than cloud of the same visible brightness
  (Dozier 1989, doi:10.1016/0034-4257(89)90101-6).
- Plants are brighter in the near infrared than in the red, snow never is. Such a mixture is snow
  where at least half of it is, judged by the brightness of the scene's snow.
- Liquid water absorbs about three times as much at 2.2 um as at 1.6 um, ice about as much at both:
  white water is darker in B12 than in B11, snow is not.
- A dark pixel beside water whose green exceeds its short-wave infrared is mostly water (index of
  Xu 2006, doi:10.1080/01431160600589179).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.algorithms.classification.morphology import box_dilated
from s2cloud.algorithms.classification.rules import UNDECIDED, code_of, compiled, inlined, single
from s2cloud.algorithms.classification.sequence import ratio
from s2cloud.algorithms.classification.steps import CAST, SNOWY, Facts, Place, Sight
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]

__all__ = ["SHORE_REACH", "snow_mixture", "thin_snow", "tidy_shores", "white_water"]

#: Distance from water at which a dark pixel may be a shore, and at which pure land is looked for,
#: and the pixels around a window that `tidy_shores` looks at. [pixel]
_NEAR_WATER: Final = 2
_AROUND: Final = 3
SHORE_REACH: Final = _AROUND + 1

_OPEN: Final = code_of(UNDECIDED)
_VEGETATION: Final = code_of(SCL.VEGETATION)
_BARE: Final = code_of(SCL.NOT_VEGETATED)
_WATER: Final = code_of(SCL.WATER)
_UNCLASSIFIED: Final = code_of(SCL.UNCLASSIFIED)
_MEDIUM: Final = code_of(SCL.CLOUD_MEDIUM_PROBABILITY)
_CLOUD: Final = code_of(SCL.CLOUD_HIGH_PROBABILITY)
_SNOW: Final = code_of(SCL.SNOW_ICE)
_ZERO: Final = single(0.0)
_ONE: Final = single(1.0)
_SNOW_SWIR: Final = single(0.25)  # B12/B03 of snow and its mixtures is below, of cloud above
_CLEAR_B10: Final = single(2.0)  # B10 of bright ground over the most that land shows is below
_GREEN_NIR: Final = single(1.05)  # B8A/B04 of what holds plants is above: ozone takes 4 % of B04
_LIT_SWIR: Final = single(0.06)  # B11 of anything in shadow is below
_HALF_SNOW: Final = single(0.4)  # (B03 - B11)/(B03 + B11) of pixels half snow is above
_LIQUID: Final = single(0.45)  # B12/B11 of white water is below
_WHITE_NIR: Final = single(0.85)  # B8A/B03 of white water is below
_LAND: Final = (SCL.VEGETATION, SCL.NOT_VEGETATED, SCL.SNOW_ICE)
_SHORES: Final = (SCL.CAST_SHADOW, SCL.NOT_VEGETATED, SCL.UNCLASSIFIED)
_SHORE_INDEX: Final = np.float32(0.2)  # (B03 - B11)/(B03 + B11) at TOA, where the sky adds to B03
_SHORE_NDVI: Final = np.float32(0.36)  # as step 3: no plants below


@inlined
def white_water(sight: Sight, code: int, snow: float) -> tuple[int, float]:
    """Snow that is far darker in B12 than in B11, and less bright in B8A than in B03, is foam."""
    liquid = ratio(sight.b12, sight.b11) < _LIQUID and sight.b8a < _WHITE_NIR * sight.b03
    if code == _SNOW and liquid and sight.b8a < sight.b04:
        return _WATER, _ZERO
    return code, snow


@inlined
def snow_mixture(
    sight: Sight, place: Place, code: int, cloud: float, snow: float, facts: Facts
) -> tuple[int, float, float]:
    """Where snow lies around: mixtures with plants are no cloud, and snow only if mostly snow."""
    if (place.flags & SNOWY) == 0 or sight.b10 > _CLEAR_B10 * facts.cirrus_land:
        return code, cloud, snow
    doubtful = code in (_OPEN, _UNCLASSIFIED, _MEDIUM, _CLOUD)
    doubtful = doubtful and sight.b12 < _SNOW_SWIR * sight.b03
    if not (doubtful or code == _SNOW):
        return code, cloud, snow
    mostly = sight.b03 >= facts.half_snow * slope_light(place, facts)
    if not mostly and sight.b8a > _GREEN_NIR * sight.b04:
        return _VEGETATION, _ZERO, _ZERO
    index = ratio(sight.b03 - sight.b11, sight.b03 + sight.b11)
    if doubtful and mostly and index > _HALF_SNOW:
        return _SNOW, _ZERO, _ONE
    return code, cloud, snow


@inlined
def thin_snow(
    sight: Sight, place: Place, code: int, snow: float, facts: Facts
) -> tuple[int, float]:
    """What the sun reaches and snow covers by less than half is the soil below."""
    partial = sight.b03 < facts.half_snow * slope_light(place, facts) and sight.b11 > _LIT_SWIR
    if code == _SNOW and (place.flags & SNOWY) != 0 and partial:
        return _BARE, _ZERO
    return code, snow


@inlined
def slope_light(place: Place, facts: Facts) -> float:
    """Sun on a slope that leans away from it, over that on level ground; else 1."""
    if place.cos_incidence < facts.cos_sza:
        return max(place.cos_incidence, _ZERO) / facts.cos_sza
    return _ONE


def tidy_shores(toa: Floats, scl: Codes, flags: npt.NDArray[np.uint16]) -> None:
    """Draw the line between water and land through the middle of mixed pixels, in place.

    Parameters
    ----------
    toa
        TOA reflectance, bands in ESA's order. [1], shape (13, y, x)
    scl
        Classes, shape (y, x).
    flags
        Bits of the scene on the same pixels; the shadow of terrain stays what it is.

    Notes
    -----
    A pixel that touches water is water where the infrared (B8A + B11) is below the middle of the
    water and the land around it, so that water covers most of it. So is a dark pixel within two
    pixels that has the index of water. A strip of cloud shadow of one or two pixels along a shore
    is no shadow but such mixed pixels.
    """
    wet = scl == SCL.WATER
    if not wet.any():
        return
    near = box_dilated(wet, _NEAR_WATER) & ~wet & ((flags & CAST) == 0)
    shade = scl == SCL.CLOUD_SHADOW
    inside = ~box_dilated(~shade, 1)
    strip = near & shade & ~box_dilated(inside, 2)
    dark = near & (np.isin(scl, _SHORES) | strip)
    dark[dark] = _like_water(toa, dark)
    land = np.isin(scl, _LAND)
    edge = box_dilated(wet, 1) & near & (land | strip | np.isin(scl, _SHORES))
    infrared = toa[BAND_INDEX["b8a"]] + toa[BAND_INDEX["b11"]]
    mostly = _below_middle(infrared, edge, wet, land & ~box_dilated(wet, 1))
    b04, b8a = toa[BAND_INDEX["b04"]], toa[BAND_INDEX["b8a"]]
    scl[strip] = np.where(b8a - b04 > _SHORE_NDVI * (b8a + b04), _VEGETATION, _BARE)[strip]
    scl[dark | mostly] = SCL.WATER


def _like_water(toa: Floats, where: Mask) -> Mask:
    """Whether pixels have the index of water and none of plants."""
    b03, b04, b8a, b11 = (toa[BAND_INDEX[n]][where] for n in ("b03", "b04", "b8a", "b11"))
    wet = b03 - b11 > _SHORE_INDEX * (b03 + b11)
    return np.asarray(wet & (b8a - b04 < _SHORE_NDVI * (b8a + b04)))


@compiled
def _below_middle(infrared: Floats, edge: Mask, water: Mask, land: Mask) -> Mask:
    """Where the pixels of an edge are darker than the middle of water and land around them."""
    rows, columns = edge.shape
    out = np.zeros((rows, columns), np.bool_)
    for i in range(rows):
        for j in range(columns):
            if not edge[i, j]:
                continue
            low = high = np.float32(0.0)
            waters = lands = 0
            for y in range(max(i - _AROUND, 0), min(i + _AROUND + 1, rows)):
                for x in range(max(j - _AROUND, 0), min(j + _AROUND + 1, columns)):
                    if water[y, x]:
                        waters += 1
                        low += infrared[y, x]
                    elif land[y, x]:
                        lands += 1
                        high += infrared[y, x]
            if lands > 0:
                middle = (low / np.float32(waters) + high / np.float32(lands)) / np.float32(2.0)
                out[i, j] = infrared[i, j] < middle
    return out
