"""Compiled loops of the pointwise scene classification.

Everything is float32 and free of reassociation, so a pixel gets the same bits wherever it lies
in a window. The steps avoid what keeps LLVM from doing eight pixels at once: calls, loads behind
a condition and 64-bit integers; they stand in `s2cloud.algorithms.classification.sequence`.
Numba's cache notices changes of the file of a loop only, not of the functions it calls: after a
change of a step clear it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.algorithms.classification.rules import (
    Pixel,
    Rules,
    code_of,
    compiled,
    inlined,
)
from s2cloud.algorithms.classification.sequence import OPEN, ZERO, classify, snow_confidence
from s2cloud.model.bands import BAND_INDEX
from s2cloud.model.schema import SCL

if TYPE_CHECKING:
    import numpy.typing as npt

    from s2cloud.algorithms.classification.thresholds import Thresholds

__all__ = ["classify_planes", "find_snow"]

_DEFECTIVE: Final = code_of(SCL.SATURATED_OR_DEFECTIVE)
_NO_DATA: Final = code_of(SCL.NO_DATA)
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
            if toa[_USED[0], i, j] > limits.blue_low and scl[i, j] == OPEN:
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
        work[_ROW_SUM, k] = ZERO
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
        valid = total - total == ZERO  # inf - inf and NaN are NaN
        kept = valid and scl[i, start + k] != _DEFECTIVE
        if kept:
            scl[i, start + k] = np.uint8(work[_ROW_CODE, k])
        elif not valid:
            scl[i, start + k] = _NO_DATA
        confidence[0, i, start + k] = work[_ROW_CLOUD, k] if kept else ZERO
        confidence[1, i, start + k] = work[_ROW_SNOW, k] if kept else ZERO


@inlined
def is_valid(toa: npt.NDArray[np.float32], i: int, j: int) -> bool:
    """Whether all thirteen bands of a pixel are finite."""
    total = ZERO
    for band in range(toa.shape[0]):
        total += toa[band, i, j]
    return bool(total - total == ZERO)


@inlined
def pixel_at(toa: npt.NDArray[np.float32], i: int, j: int) -> Pixel:
    """The used bands of one pixel."""
    return Pixel(
        toa[_USED[0], i, j], toa[_USED[1], i, j], toa[_USED[2], i, j], toa[_USED[3], i, j],
        toa[_USED[4], i, j], toa[_USED[5], i, j], toa[_USED[6], i, j], toa[_USED[7], i, j],
    )  # fmt: skip
