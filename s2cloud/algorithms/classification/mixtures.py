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
from s2cloud.algorithms.classification.rules import UNDECIDED, code_of, inlined, single
from s2cloud.algorithms.classification.sequence import ratio
from s2cloud.algorithms.classification.steps import CAST, SNOWY, Facts, Place, Sight
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Codes = npt.NDArray[np.uint8]

__all__ = ["SHORE_REACH", "snow_mixture", "tidy_shores", "white_water"]

#: Distance from water at which a dark pixel may be a shore. [pixel]
SHORE_REACH: Final = 2

_OPEN: Final = code_of(UNDECIDED)
_VEGETATION: Final = code_of(SCL.VEGETATION)
_WATER: Final = code_of(SCL.WATER)
_UNCLASSIFIED: Final = code_of(SCL.UNCLASSIFIED)
_MEDIUM: Final = code_of(SCL.CLOUD_MEDIUM_PROBABILITY)
_CLOUD: Final = code_of(SCL.CLOUD_HIGH_PROBABILITY)
_SNOW: Final = code_of(SCL.SNOW_ICE)
_ZERO: Final = single(0.0)
_ONE: Final = single(1.0)
_SNOW_SWIR: Final = single(0.25)  # B12/B03 of snow and its mixtures is below, of cloud above
_CLEAR_B10: Final = single(2.0)  # B10 of bright ground over the most that land shows is below
_GREEN_NIR: Final = single(1.1)  # B8A/B04 of what holds plants is above
_HALF_SNOW: Final = single(0.4)  # (B03 - B11)/(B03 + B11) of pixels half snow is above
_LIQUID: Final = single(0.45)  # B12/B11 of white water is below
_WHITE_NIR: Final = single(0.85)  # B8A/B03 of white water is below
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
    mostly = sight.b03 >= facts.half_snow
    if not mostly and sight.b8a > _GREEN_NIR * sight.b04:
        return _VEGETATION, _ZERO, _ZERO
    index = ratio(sight.b03 - sight.b11, sight.b03 + sight.b11)
    if doubtful and mostly and index > _HALF_SNOW:
        return _SNOW, _ZERO, _ONE
    return code, cloud, snow


def tidy_shores(toa: Floats, scl: Codes, flags: npt.NDArray[np.uint16]) -> None:
    """Turn dark pixels beside water that are mostly water into water, in place.

    Parameters
    ----------
    toa
        TOA reflectance, bands in ESA's order. [1], shape (13, y, x)
    scl
        Classes, shape (y, x).
    flags
        Bits of the scene on the same pixels; the shadow of terrain stays what it is.
    """
    dark = np.isin(scl, _SHORES) & ((flags & CAST) == 0)
    if not dark.any():
        return
    dark &= box_dilated(scl == SCL.WATER, SHORE_REACH)
    if not dark.any():
        return
    b03, b04, b8a, b11 = (toa[BAND_INDEX[n]][dark] for n in ("b03", "b04", "b8a", "b11"))
    wet = (b03 - b11 > _SHORE_INDEX * (b03 + b11)) & (b8a - b04 < _SHORE_NDVI * (b8a + b04))
    dark[dark] = wet
    scl[dark] = SCL.WATER
