"""The pointwise steps of the scene classification, one pixel at a time.

Step numbers are those of Sen2Cor; the table of steps is in `classify_pixels`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from s2cloud.algorithms.classification.rules import (
    UNDECIDED,
    UNTIL_DECISION,
    UNTIL_END,
    Pixel,
    Rules,
    code_of,
    inlined,
    single,
)
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    from s2cloud.algorithms.classification.thresholds import Thresholds

__all__ = [
    "OPEN",
    "ZERO",
    "bright_or_dark",
    "classify",
    "decide",
    "look_for_cirrus",
    "look_for_rock",
    "look_for_soil",
    "look_for_vegetation",
    "look_for_water",
    "ratio",
    "recover",
    "rock_limit",
    "snow_confidence",
    "soil_limit",
    "water_limit",
]

OPEN: Final = code_of(UNDECIDED)
_DARK: Final = code_of(SCL.CAST_SHADOW)  # "dark features" until a terrain model says otherwise
_VEGETATION: Final = code_of(SCL.VEGETATION)
_BARE: Final = code_of(SCL.NOT_VEGETATED)
_WATER: Final = code_of(SCL.WATER)
_UNCLASSIFIED: Final = code_of(SCL.UNCLASSIFIED)
_CLOUD_MEDIUM: Final = code_of(SCL.CLOUD_MEDIUM_PROBABILITY)
_CLOUD_HIGH: Final = code_of(SCL.CLOUD_HIGH_PROBABILITY)
_CIRRUS: Final = code_of(SCL.THIN_CIRRUS)
_SNOW: Final = code_of(SCL.SNOW_ICE)
# Constants of the sequence that are not in Sen2Cor's parameter file. [1] unless stated.
ZERO: Final = single(0.0)
_ONE: Final = single(1.0)
_SMALLEST_DENOMINATOR: Final = single(1e-6)
_DARK_RED: Final = single(0.10)  # 1.1, B04 of dark features is below
_DARK_NIR: Final = single(0.04)  # 1.1, B8A of dark features is above
_ICE_RED_EDGE: Final = single(0.85)  # 2.1bis, B05/B8A of snow is at least
_VEGETATION_BLUE: Final = single(0.15)  # 3, B02 of vegetation is below
_SOIL_RATIO_TOP: Final = single(100.0)  # 5.1, B02/B11 is clipped here
_SOIL_BLUE_MIN: Final = single(0.15)  # 5.1, range of the bound of B02
_SOIL_BLUE_MAX: Final = single(0.32)
_WATER_SWIR_MIN: Final = single(0.07)  # 5.2, range of the bound of B12
_WATER_SWIR_MAX: Final = single(0.21)
_WATER_BLUE: Final = single(0.2)  # 5.2, B02 of water is below
_WATER_SLOPE: Final = single(0.034)  # 5.2, B02 - B04 of clear water is above
_ROCK_SLOPE: Final = single(-0.25)  # 6, bound of B02 as a line in B8A/B11
_ROCK_OFFSET: Final = single(0.475)
_ROCK_BLUE_MIN: Final = single(0.16)  # 6, range of the bound of B02
_ROCK_BLUE_MAX: Final = single(0.35)
_ROCK_BLUE_SWIR: Final = single(0.8)  # 6, B02 of rock is below this share of B11
_RED_SWIR_LOW: Final = single(3.0)  # 6bis, B04/B11
_RED_SWIR_HIGH: Final = single(6.0)
_CIRRUS_BLUE: Final = single(0.50)  # 7, B02 of thin cirrus is below
_CIRRUS_ALTITUDE: Final = single(1500.0)  # 7, B10 sees the ground from here on. [m]
_CIRRUS_CLOUD: Final = single(0.65)  # 7, cloud confidence set by thick cirrus
_WATER_NIR: Final = single(0.3)  # recovery, B8A of undecided water is below
_SOIL_RECOVERY: Final = single(0.65)  # recovery, B02/B11 of dark soil is below


@inlined
def classify(
    pixel: Pixel,
    near_snow: float,
    altitude: float,
    model: float,
    limits: Thresholds,
    rules: Rules,
) -> tuple[int, float, float]:
    """Class, cloud and snow confidence; `near_snow` is 1 inside the dilated snow, else 0."""
    code, cloud, snow = decide(pixel, near_snow, model, limits, rules)
    code, cloud, snow = look_for_cirrus(pixel, altitude, code, cloud, snow, limits, rules)
    return recover(pixel, code, cloud, snow, limits, rules)


@inlined
def decide(
    pixel: Pixel, near_snow: float, model: float, limits: Thresholds, rules: Rules
) -> tuple[int, float, float]:
    """Steps 1 to 7 without cirrus: class, cloud and snow confidence."""
    code, cloud = bright_or_dark(pixel, limits)
    snow = ZERO
    if rules.snow_possible:
        snow = snow_confidence(pixel, limits)
        if snow > limits.snow_confidence:
            code, cloud = blend(model, _SNOW, ZERO, limits, rules)
            return decide_cloud(code, cloud, limits), cloud, snow
        if near_snow > ZERO and pixel.b12 < limits.snow_ring_swir:
            cloud = ZERO
    code, cloud = look_for_vegetation(pixel, code, cloud, limits)
    code, cloud = look_for_soil(pixel, code, cloud, limits)
    code, cloud = look_for_water(pixel, code, cloud, limits)
    code, cloud = look_for_rock(pixel, code, cloud, limits)
    code, cloud = blend(model, code, cloud, limits, rules)
    return decide_cloud(code, cloud, limits), cloud, snow


@inlined
def blend(
    model: float, code: int, cloud: float, limits: Thresholds, rules: Rules
) -> tuple[int, float]:
    """Mix in the probability of a model, and open again what it makes a cloud; NaN = none.

    Where the rules see no cloud at all, a model's small doubts do not leave a pixel unclassified.
    """
    if not (rules.model_weight > ZERO and model >= ZERO):
        return code, cloud
    mixed = cloud + rules.model_weight * (model - cloud)
    if mixed >= limits.cloud_medium:
        return OPEN, mixed
    if code == OPEN and cloud <= limits.cloud_low:
        return OPEN, min(mixed, limits.cloud_low)
    return code, mixed


@inlined
def decide_cloud(code: int, cloud: float, limits: Thresholds) -> int:
    """Step 7: how probable a cloud an undecided pixel is."""
    if code == OPEN:
        if cloud >= limits.cloud_high:
            code = _CLOUD_HIGH
        elif cloud >= limits.cloud_medium:
            code = _CLOUD_MEDIUM
        elif cloud > limits.cloud_low:
            code = _UNCLASSIFIED
    return code


@inlined
def ramp(value: float, low: float, high: float) -> float:
    """Line from 0 at `low` to 1 at `high`, exactly 0 and 1 outside."""
    return min(max((value - low) / (high - low), ZERO), _ONE)


@inlined
def ratio(numerator: float, denominator: float) -> float:
    """Quotient that stays finite."""
    return numerator / max(denominator, _SMALLEST_DENOMINATOR)


@inlined
def bright_or_dark(pixel: Pixel, limits: Thresholds) -> tuple[int, float]:
    """Steps 1.1 and 1.2: dark features and the first cloud confidence."""
    ndsi = ratio(pixel.b03 - pixel.b11, pixel.b03 + pixel.b11)
    contrast = ramp(ndsi, limits.ndsi_cloud_low, limits.ndsi_cloud_high)
    if contrast == ZERO:
        return OPEN, ZERO  # even a dark feature
    if pixel.b04 < _DARK_RED and _DARK_NIR < pixel.b8a < limits.nir_low:
        return _DARK, ZERO
    red = ramp(pixel.b04, limits.red_low, limits.red_high)
    return OPEN, red * red * contrast


@inlined
def snow_confidence(pixel: Pixel, limits: Thresholds) -> float:
    """Steps 2.1 to 2.4: snow confidence of what might be cloud."""
    if pixel.b02 <= limits.blue_low or pixel.b8a <= limits.nir_low:
        return ZERO  # as the ramps below, only sooner
    if ratio(pixel.b05, pixel.b8a) < _ICE_RED_EDGE:
        return ZERO
    _, cloud = bright_or_dark(pixel, limits)
    if cloud <= ZERO:
        return ZERO
    ndsi = ratio(pixel.b03 - pixel.b11, pixel.b03 + pixel.b11)
    snow = ramp(ndsi, limits.ndsi_snow_low, limits.ndsi_snow_high)
    snow *= ramp(pixel.b8a, limits.nir_low, limits.nir_high)
    snow *= ramp(pixel.b02, limits.blue_low, limits.blue_high)
    return snow * ramp(ratio(pixel.b02, pixel.b04), limits.blue_red_low, limits.blue_red_high)


@inlined
def look_for_vegetation(
    pixel: Pixel, code: int, cloud: float, limits: Thresholds
) -> tuple[int, float]:
    """Step 3; a bright green pixel keeps its cloud confidence, and so does vegetation."""
    ndvi = ratio(pixel.b8a - pixel.b04, pixel.b8a + pixel.b04)
    if ndvi >= limits.ndvi_high:
        if code == OPEN and pixel.b02 < _VEGETATION_BLUE:
            code = _VEGETATION
    elif ndvi > limits.ndvi_low:
        cloud *= _ONE - ramp(ndvi, limits.ndvi_low, limits.ndvi_high)
    return code, cloud


@inlined
def look_for_soil(pixel: Pixel, code: int, cloud: float, limits: Thresholds) -> tuple[int, float]:
    """Step 5.1."""
    if code != OPEN:
        return code, cloud
    blue_swir = min(max(ratio(pixel.b02, pixel.b11), ZERO), _SOIL_RATIO_TOP)
    if pixel.b02 < soil_limit(blue_swir, limits):
        if blue_swir < limits.soil_ratio_low:
            return _BARE, ZERO
        if limits.soil_ratio_low < blue_swir < limits.soil_ratio_high:
            cloud *= ramp(blue_swir, limits.soil_ratio_low, limits.soil_ratio_high)
    return code, cloud


@inlined
def soil_limit(blue_swir: float, limits: Thresholds) -> float:
    """B02 of soils is below this."""
    line = limits.soil_limit_slope * blue_swir + limits.soil_limit_offset
    return min(max(line, _SOIL_BLUE_MIN), _SOIL_BLUE_MAX)


@inlined
def look_for_water(pixel: Pixel, code: int, cloud: float, limits: Thresholds) -> tuple[int, float]:
    """Step 5.2: first by B02/B11, then by the slope from blue to red."""
    if not (pixel.b8a < pixel.b04 and pixel.b02 < _WATER_BLUE):
        return code, cloud
    blue_swir = ratio(pixel.b02, pixel.b11)
    if pixel.b12 < water_limit(blue_swir, limits):
        if code == OPEN and blue_swir > limits.water_ratio_high:
            return _WATER, ZERO
        if limits.water_ratio_low <= blue_swir < limits.water_ratio_high:
            cloud *= _ONE - ramp(blue_swir, limits.water_ratio_low, limits.water_ratio_high)
    if code == OPEN and pixel.b02 - pixel.b04 > _WATER_SLOPE:
        return _WATER, ZERO
    return code, cloud


@inlined
def water_limit(blue_swir: float, limits: Thresholds) -> float:
    """B12 of water is below this."""
    line = limits.water_limit_slope * blue_swir + limits.water_limit_offset
    return min(max(line, _WATER_SWIR_MIN), _WATER_SWIR_MAX)


@inlined
def look_for_rock(pixel: Pixel, code: int, cloud: float, limits: Thresholds) -> tuple[int, float]:
    """Step 6, rock and sand of deserts, and step 6bis, red far above the infrared."""
    if code == OPEN:
        nir_swir = ratio(pixel.b8a, pixel.b11)
        if pixel.b02 < rock_limit(nir_swir):
            if nir_swir < limits.rock_ratio_low and pixel.b02 < _ROCK_BLUE_SWIR * pixel.b11:
                return _BARE, ZERO
            if limits.rock_ratio_low < nir_swir < limits.rock_ratio_high:
                cloud *= ramp(nir_swir, limits.rock_ratio_low, limits.rock_ratio_high)
    red_swir = ratio(pixel.b04, pixel.b11)
    if red_swir < _RED_SWIR_HIGH:
        cloud *= _ONE - ramp(red_swir, _RED_SWIR_LOW, _RED_SWIR_HIGH)
    elif code == OPEN:
        cloud = ZERO
    return code, cloud


@inlined
def rock_limit(nir_swir: float) -> float:
    """B02 of rock and sand is below this."""
    return min(max(_ROCK_SLOPE * nir_swir + _ROCK_OFFSET, _ROCK_BLUE_MIN), _ROCK_BLUE_MAX)


@inlined
def look_for_cirrus(
    pixel: Pixel,
    height: float,
    code: int,
    cloud: float,
    snow: float,
    limits: Thresholds,
    rules: Rules,
) -> tuple[int, float, float]:
    """Step 7, cirrus; overrides any class. An unknown altitude (NaN) counts as low."""
    if pixel.b10 <= limits.cirrus_low:
        return code, cloud, snow
    low = not height >= _CIRRUS_ALTITUDE
    if pixel.b10 < limits.cirrus_high:
        if low and pixel.b02 < _CIRRUS_BLUE and cloud < limits.cloud_medium:
            code = _CIRRUS
    elif cloud < limits.cloud_high and (low or not rules.evolution):
        code = _CLOUD_MEDIUM
        if rules.evolution:
            cloud, snow = _CIRRUS_CLOUD, ZERO
    return code, cloud, snow


@inlined
def recover(
    pixel: Pixel, code: int, cloud: float, snow: float, limits: Thresholds, rules: Rules
) -> tuple[int, float, float]:
    """Second thoughts about dark and undecided pixels, then the class of what is left."""
    if code not in (_DARK, OPEN) or rules.until == UNTIL_DECISION:
        return code, cloud, snow
    ndvi = ratio(pixel.b8a - pixel.b04, pixel.b8a + pixel.b04)
    blue_swir = ratio(pixel.b02, pixel.b11)
    if ndvi > limits.ndvi_high or ratio(pixel.b8a, pixel.b03) > limits.nir_green:
        code = _VEGETATION
        if rules.evolution:
            cloud, snow = ZERO, ZERO
    elif is_dark_water(pixel, code, blue_swir, limits):
        code = _WATER
    elif rules.until == UNTIL_END:
        if code == OPEN:
            code = _BARE if rules.evolution else _UNCLASSIFIED
        elif blue_swir < _SOIL_RECOVERY:
            code = _BARE
    return code, cloud, snow


@inlined
def is_dark_water(pixel: Pixel, code: int, blue_swir: float, limits: Thresholds) -> bool:
    """Water recovery; an undecided pixel must be dark in the infrared too."""
    dark = code == _DARK or pixel.b8a < _WATER_NIR
    return bool(dark and blue_swir > limits.water_ratio_high and pixel.b8a < pixel.b04)
