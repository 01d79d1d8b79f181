"""Compiled loops of the scene classification and the steps they do for each pixel.

Everything is float32 and free of reassociation, so a pixel gets the same bits wherever it lies
in a window. The steps avoid what keeps LLVM from doing eight pixels at once: calls, loads behind
a condition and 64-bit integers. Step numbers are those of Sen2Cor; the table of steps is in
`classify_pixels`. Loops and steps share this file because numba's cache notices changes of the
file of a loop only, not of the functions it calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.algorithms.classification.rules import (
    UNDECIDED,
    UNTIL_DECISION,
    UNTIL_END,
    Pixel,
    Rules,
    code_of,
    compiled,
    inlined,
    single,
)
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.classification.thresholds import Thresholds

__all__ = ["classify_planes", "find_snow"]

_OPEN: Final = code_of(UNDECIDED)
_DEFECTIVE: Final = code_of(SCL.SATURATED_OR_DEFECTIVE)
_NO_DATA: Final = code_of(SCL.NO_DATA)
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
_ZERO: Final = single(0.0)
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

#: Pixels worked on at once. Their scratch has a fixed shape, 16 kB in the first-level cache: the
#: compiler then knows that nothing in it overlaps and does eight pixels with one instruction,
#: twice as fast as reading the planes directly.
_STRIP: Final = 256

#: Bands in the order of `Pixel`, in the first rows of the scratch.
_USED: Final = tuple(BAND_INDEX[name] for name in Pixel._fields)
_ROW_NEAR_SNOW: Final = 8
_ROW_ALTITUDE: Final = 9
_ROW_MODEL: Final = 10
_ROW_SUM: Final = 11
_ROW_CODE: Final = 12
_ROW_CLOUD: Final = 13
_ROW_SNOW: Final = 14
_ROWS: Final = 15


@compiled
def find_snow(
    toa: npt.NDArray[np.float32],
    scl: npt.NDArray[np.uint8],
    limits: Thresholds,
    snow: npt.NDArray[np.bool_],
) -> bool:
    """Mark the snow pixels of a window in `snow`; True if there are any."""
    rows, columns = scl.shape
    found = False
    for i in range(rows):
        for j in range(columns):
            snow[i, j] = False
            # Most pixels are too dark for snow, and one band tells.
            if toa[_USED[0], i, j] > limits.blue_low and scl[i, j] == _OPEN:
                confidence = snow_confidence(pixel_at(toa, i, j), limits)
                if confidence > limits.snow_confidence and is_valid(toa, i, j):
                    snow[i, j] = True
                    found = True
    return found


@compiled
def classify_planes(
    toa: npt.NDArray[np.float32],
    altitude: npt.NDArray[np.float32],
    near_snow: npt.NDArray[np.bool_],
    model: npt.NDArray[np.float32],
    limits: Thresholds,
    rules: Rules,
    scl: npt.NDArray[np.uint8],
    confidence: npt.NDArray[np.float32],
) -> None:
    """Classify a window in place.

    Parameters
    ----------
    toa
        TOA reflectance, not finite = no-data. [1], shape (13, y, x)
    altitude
        Elevation of the ground. [m], shape (y, x), each axis may be one
    near_snow
        Pixels inside the dilated snow, shape (y, x), each axis may be one.
    model
        Cloud probability of a classifier, NaN = none. [1], shape (y, x), each axis may be one
    limits, rules
        From `limits_of`; switches.
    scl
        In: ``UNDECIDED``, or ``SATURATED_OR_DEFECTIVE`` which is kept. Out: classes. Shape (y, x)
    confidence
        Out: cloud and snow confidence. [1], shape (2, y, x)
    """
    rows, columns = scl.shape
    work = np.empty((_ROWS, _STRIP), dtype=np.float32)
    for i in range(rows):
        for start in range(0, columns, _STRIP):
            width = min(_STRIP, columns - start)
            gather(toa, i, start, width, work)
            spread(near_snow, i, start, width, work[_ROW_NEAR_SNOW])
            spread(altitude, i, start, width, work[_ROW_ALTITUDE])
            spread(model, i, start, width, work[_ROW_MODEL])
            for k in range(width):
                pixel = Pixel(
                    work[0, k], work[1, k], work[2, k], work[3, k],
                    work[4, k], work[5, k], work[6, k], work[7, k],
                )  # fmt: skip
                code, work[_ROW_CLOUD, k], work[_ROW_SNOW, k] = classify(
                    pixel,
                    work[_ROW_NEAR_SNOW, k],
                    work[_ROW_ALTITUDE, k],
                    work[_ROW_MODEL, k],
                    limits,
                    rules,
                )
                work[_ROW_CODE, k] = code
            store(work, i, start, width, scl, confidence)


@inlined
def gather(
    toa: npt.NDArray[np.float32], i: int, start: int, width: int, work: npt.NDArray[np.float32]
) -> None:
    """Bring the bands of a strip, and the sum of all thirteen, into the scratch."""
    for row in range(len(_USED)):
        for k in range(width):
            work[row, k] = toa[_USED[row], i, start + k]
    for k in range(width):
        work[_ROW_SUM, k] = _ZERO
    for band in range(toa.shape[0]):
        for k in range(width):
            work[_ROW_SUM, k] += toa[band, i, start + k]


@inlined
def spread(
    source: npt.NDArray[Any], i: int, start: int, width: int, row: npt.NDArray[np.float32]
) -> None:
    """Copy a strip of an array whose axes may be one."""
    line = source[i if source.shape[0] > 1 else 0]
    if source.shape[1] > 1:
        for k in range(width):
            row[k] = line[start + k]
    else:
        row[:width] = line[0]


@inlined
def store(
    work: npt.NDArray[np.float32],
    i: int,
    start: int,
    width: int,
    scl: npt.NDArray[np.uint8],
    confidence: npt.NDArray[np.float32],
) -> None:
    """Write the results of a strip, except where there is no or defective data."""
    for k in range(width):
        total = work[_ROW_SUM, k]
        valid = total - total == _ZERO  # inf - inf and NaN are NaN
        kept = valid and scl[i, start + k] != _DEFECTIVE
        if kept:
            scl[i, start + k] = np.uint8(work[_ROW_CODE, k])
        elif not valid:
            scl[i, start + k] = _NO_DATA
        confidence[0, i, start + k] = work[_ROW_CLOUD, k] if kept else _ZERO
        confidence[1, i, start + k] = work[_ROW_SNOW, k] if kept else _ZERO


@inlined
def is_valid(toa: npt.NDArray[np.float32], i: int, j: int) -> bool:
    """Whether all thirteen bands of a pixel are finite."""
    total = _ZERO
    for band in range(toa.shape[0]):
        total += toa[band, i, j]
    return bool(total - total == _ZERO)


@inlined
def pixel_at(toa: npt.NDArray[np.float32], i: int, j: int) -> Pixel:
    """The used bands of one pixel."""
    return Pixel(
        toa[_USED[0], i, j], toa[_USED[1], i, j], toa[_USED[2], i, j], toa[_USED[3], i, j],
        toa[_USED[4], i, j], toa[_USED[5], i, j], toa[_USED[6], i, j], toa[_USED[7], i, j],
    )  # fmt: skip


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
    snow = _ZERO
    if rules.snow_possible:
        snow = snow_confidence(pixel, limits)
        if snow > limits.snow_confidence:
            code, cloud = blend(model, _SNOW, _ZERO, limits, rules)
            return decide_cloud(code, cloud, limits), cloud, snow
        if near_snow > _ZERO and pixel.b12 < limits.snow_ring_swir:
            cloud = _ZERO
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
    if not (rules.model_weight > _ZERO and model >= _ZERO):
        return code, cloud
    mixed = cloud + rules.model_weight * (model - cloud)
    if mixed >= limits.cloud_medium:
        return _OPEN, mixed
    if code == _OPEN and cloud <= limits.cloud_low:
        return _OPEN, min(mixed, limits.cloud_low)
    return code, mixed


@inlined
def decide_cloud(code: int, cloud: float, limits: Thresholds) -> int:
    """Step 7: how probable a cloud an undecided pixel is."""
    if code == _OPEN:
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
    return min(max((value - low) / (high - low), _ZERO), _ONE)


@inlined
def ratio(numerator: float, denominator: float) -> float:
    """Quotient that stays finite."""
    return numerator / max(denominator, _SMALLEST_DENOMINATOR)


@inlined
def bright_or_dark(pixel: Pixel, limits: Thresholds) -> tuple[int, float]:
    """Steps 1.1 and 1.2: dark features and the first cloud confidence."""
    ndsi = ratio(pixel.b03 - pixel.b11, pixel.b03 + pixel.b11)
    contrast = ramp(ndsi, limits.ndsi_cloud_low, limits.ndsi_cloud_high)
    if contrast == _ZERO:
        return _OPEN, _ZERO  # even a dark feature
    if pixel.b04 < _DARK_RED and _DARK_NIR < pixel.b8a < limits.nir_low:
        return _DARK, _ZERO
    red = ramp(pixel.b04, limits.red_low, limits.red_high)
    return _OPEN, red * red * contrast


@inlined
def snow_confidence(pixel: Pixel, limits: Thresholds) -> float:
    """Steps 2.1 to 2.4: snow confidence of what might be cloud."""
    if pixel.b02 <= limits.blue_low or pixel.b8a <= limits.nir_low:
        return _ZERO  # as the ramps below, only sooner
    if ratio(pixel.b05, pixel.b8a) < _ICE_RED_EDGE:
        return _ZERO
    _, cloud = bright_or_dark(pixel, limits)
    if cloud <= _ZERO:
        return _ZERO
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
        if code == _OPEN and pixel.b02 < _VEGETATION_BLUE:
            code = _VEGETATION
    elif ndvi > limits.ndvi_low:
        cloud *= _ONE - ramp(ndvi, limits.ndvi_low, limits.ndvi_high)
    return code, cloud


@inlined
def look_for_soil(pixel: Pixel, code: int, cloud: float, limits: Thresholds) -> tuple[int, float]:
    """Step 5.1."""
    if code != _OPEN:
        return code, cloud
    blue_swir = min(max(ratio(pixel.b02, pixel.b11), _ZERO), _SOIL_RATIO_TOP)
    if pixel.b02 < soil_limit(blue_swir, limits):
        if blue_swir < limits.soil_ratio_low:
            return _BARE, _ZERO
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
        if code == _OPEN and blue_swir > limits.water_ratio_high:
            return _WATER, _ZERO
        if limits.water_ratio_low <= blue_swir < limits.water_ratio_high:
            cloud *= _ONE - ramp(blue_swir, limits.water_ratio_low, limits.water_ratio_high)
    if code == _OPEN and pixel.b02 - pixel.b04 > _WATER_SLOPE:
        return _WATER, _ZERO
    return code, cloud


@inlined
def water_limit(blue_swir: float, limits: Thresholds) -> float:
    """B12 of water is below this."""
    line = limits.water_limit_slope * blue_swir + limits.water_limit_offset
    return min(max(line, _WATER_SWIR_MIN), _WATER_SWIR_MAX)


@inlined
def look_for_rock(pixel: Pixel, code: int, cloud: float, limits: Thresholds) -> tuple[int, float]:
    """Step 6, rock and sand of deserts, and step 6bis, red far above the infrared."""
    if code == _OPEN:
        nir_swir = ratio(pixel.b8a, pixel.b11)
        if pixel.b02 < rock_limit(nir_swir):
            if nir_swir < limits.rock_ratio_low and pixel.b02 < _ROCK_BLUE_SWIR * pixel.b11:
                return _BARE, _ZERO
            if limits.rock_ratio_low < nir_swir < limits.rock_ratio_high:
                cloud *= ramp(nir_swir, limits.rock_ratio_low, limits.rock_ratio_high)
    red_swir = ratio(pixel.b04, pixel.b11)
    if red_swir < _RED_SWIR_HIGH:
        cloud *= _ONE - ramp(red_swir, _RED_SWIR_LOW, _RED_SWIR_HIGH)
    elif code == _OPEN:
        cloud = _ZERO
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
            cloud, snow = _CIRRUS_CLOUD, _ZERO
    return code, cloud, snow


@inlined
def recover(
    pixel: Pixel, code: int, cloud: float, snow: float, limits: Thresholds, rules: Rules
) -> tuple[int, float, float]:
    """Second thoughts about dark and undecided pixels, then the class of what is left."""
    if code not in (_DARK, _OPEN) or rules.until == UNTIL_DECISION:
        return code, cloud, snow
    ndvi = ratio(pixel.b8a - pixel.b04, pixel.b8a + pixel.b04)
    blue_swir = ratio(pixel.b02, pixel.b11)
    if ndvi > limits.ndvi_high or ratio(pixel.b8a, pixel.b03) > limits.nir_green:
        code = _VEGETATION
        if rules.evolution:
            cloud, snow = _ZERO, _ZERO
    elif is_dark_water(pixel, code, blue_swir, limits):
        code = _WATER
    elif rules.until == UNTIL_END:
        if code == _OPEN:
            code = _BARE if rules.evolution else _UNCLASSIFIED
        elif blue_swir < _SOIL_RECOVERY:
            code = _BARE
    return code, cloud, snow


@inlined
def is_dark_water(pixel: Pixel, code: int, blue_swir: float, limits: Thresholds) -> bool:
    """Water recovery; an undecided pixel must be dark in the infrared too."""
    dark = code == _DARK or pixel.b8a < _WATER_NIR
    return bool(dark and blue_swir > limits.water_ratio_high and pixel.b8a < pixel.b04)
