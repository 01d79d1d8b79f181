"""Cloud shadow: where geometry allows one, and where the ground is as dark as in one.

Geometry works on the 60 m overview of the tile (scene stage), darkness on a block. A pixel is in
the shadow of a cloud where the product of both exceeds 0.05 (Sen2Cor, Louis et al. 2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy import ndimage

from s2cloud.algorithms.classification.darkness import (
    CELL,
    CELL_M,
    HALO,
    LIGHTER_M,
    clear_reference,
    radiometric_shadow,
    reference_at,
    relative_shadow,
    shadow_threshold,
)
from s2cloud.algorithms.classification.rules import compiled, inlined, single
from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

    Angle = npt.NDArray[np.floating[Any]] | float
    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "CELL",
    "CELL_M",
    "HALO",
    "LIGHTER_M",
    "clear_reference",
    "geometric_shadow",
    "radiometric_shadow",
    "reference_at",
    "relative_shadow",
    "shadow_from_outside",
    "shadow_threshold",
    "shadow_vector",
]

#: Weight of heights without a measurement: half, rises to 1, falls from 1, half, end. [m]
_LOW_HALF: Final = single(600.0)
_RISE_END: Final = single(1500.0)
_FALL_START: Final = single(1530.0)
_HIGH_HALF: Final = single(4230.0)
_HIGHEST: Final = single(6000.0)
#: Standard deviations within which a normal weight is followed.
_REACH: Final = single(2.5)
#: Largest step in height. [m]
_STEP: Final = single(100.0)
_ZERO: Final = single(0.0)
_HALF: Final = single(0.5)
_ONE: Final = single(1.0)
_TINY: Final = single(1e-6)
#: Standard deviation of the final smoothing. [m]
_SMOOTHING: Final = 60.0


def geometric_shadow(  # noqa: PLR0913 -- two directions and what is known of heights
    cloud: Mask,
    height: tuple[float, float] | Floats | None,
    pixel_size: float,
    sza: Angle,
    saa: Angle,
    vza: Angle,
    vaa: Angle,
    *,
    surface_elevation: float = 0.0,
    height_std: float = 400.0,
    vector: tuple[Floats, Floats] | None = None,
) -> Floats:
    """Possibility that the shadow of a cloud falls on a pixel.

    Parameters
    ----------
    cloud
        Clouds, shape (y, x).
    height
        Mean and standard deviation of the heights of the scene's clouds; or the height of each
        cloudy pixel, NaN where unknown, shape (y, x); or None, for a plateau from 1.5 to 4 km. [m]
    pixel_size
        [m]
    sza, saa
        Zenith, below 90, and azimuth of the sun. [degree], numbers or shape (y, x)
    vza, vaa
        Zenith and azimuth towards the sensor, likewise.
    surface_elevation
        Elevation of the ground, in the datum of `height`: 0 where heights are above ground. [m]
    height_std
        Standard deviation of a pixel's own height. [m]
    vector
        From `shadow_vector` for these directions, where it is known already.

    Returns
    -------
    ndarray
        0 to 1, the weight of the most likely height of a cloud that would cast its shadow here;
        smoothed. 0 on clouds before the smoothing. Shape (y, x)

    Raises
    ------
    UsageError
        If the sun is not above the horizon.

    Notes
    -----
    A cloud at height h is seen ``h tan(vza)`` away from where it stands, in the direction away
    from the sensor, and its shadow lies ``h tan(sza)`` away from there, away from the sun. Each
    cloudy pixel is moved along this line, over heights at most one pixel apart.
    """
    if not float(np.max(sza)) < 90.0:
        raise UsageError(
            "no shadow can be cast by a sun that is not above the horizon",
            where="geometric_shadow",
            expected="sun zeniths below 90 degrees",
            found=float(np.max(sza)),
        )
    down, right = vector or shadow_vector(sza, saa, vza, vaa, pixel_size)
    own = np.full((1, 1), np.nan, np.float32)
    mean, std = np.nan, _HIGHEST
    if isinstance(height, tuple):
        mean, std = height
    elif height is not None:
        own = np.asarray(height, dtype=np.float32)
    heights = _Heights(*map(single, (mean, max(std, 1.0), max(height_std, 1.0), surface_elevation)))
    out = np.zeros(cloud.shape, np.float32)
    _project(np.ascontiguousarray(cloud, dtype=np.bool_), own, heights, down, right, out)
    out[cloud] = 0.0
    sigma = _SMOOTHING / pixel_size
    return np.asarray(ndimage.gaussian_filter(out, sigma, mode="nearest", truncate=4.0))


def shadow_from_outside(
    shape: tuple[int, int],
    height: tuple[float, float] | None,
    down: Floats,
    right: Floats,
) -> Floats:
    """Possibility that a cloud beyond the edge of the image casts its shadow on a pixel.

    Parameters
    ----------
    shape
        Of the image.
    height
        Mean and standard deviation of the heights of the scene's clouds, None for the prior. [m]
    down, right
        From `shadow_vector`.

    Returns
    -------
    ndarray
        0 to 1, were there clouds everywhere beyond; shape (y, x).
    """
    lowest = np.full(shape, np.inf, np.float32)
    for axis, way in enumerate((down, right)):
        at = np.arange(shape[axis], dtype=np.float32)
        at = at[:, np.newaxis] if axis == 0 else at[np.newaxis]
        pixels = np.where(way > 0, at + 1, shape[axis] - at)
        lowest = np.minimum(lowest, pixels / np.maximum(np.abs(way), _TINY))
    if height is None:
        beyond = np.maximum(lowest - _FALL_START, _ZERO) / (_HIGH_HALF - _FALL_START)
        likely = 1 / (1 + beyond**10)
    else:
        beyond = np.maximum(lowest - np.float32(height[0]), _ZERO) / np.float32(max(height[1], 1.0))
        likely = np.exp(-beyond * beyond / 2)
    return np.where(lowest > _HIGHEST, np.float32(0), likely).astype(np.float32)


def shadow_vector(
    sza: Angle,
    saa: Angle,
    vza: Angle,
    vaa: Angle,
    pixel_size: float,
) -> tuple[Floats, Floats]:
    """From a cloud as seen to its shadow: rows and columns per metre of height, at least 2-D."""
    sun, view = (np.tan(np.radians(np.asarray(zenith, np.float64))) for zenith in (sza, vza))
    sun_at, view_at = (np.radians(np.asarray(azimuth, np.float64)) for azimuth in (saa, vaa))
    north = view * np.cos(view_at) - sun * np.cos(sun_at)
    east = view * np.sin(view_at) - sun * np.sin(sun_at)
    down, right = np.broadcast_arrays(-north / pixel_size, east / pixel_size)
    return np.atleast_2d(down).astype(np.float32), np.atleast_2d(right).astype(np.float32)


class _Heights(NamedTuple):
    """What is known of the heights of clouds without one of their own. [m].

    Attributes
    ----------
    mean, std
        Of the scene, mean NaN for the prior.
    own_std
        Standard deviation of a pixel's own height.
    ground
        Elevation of the ground.
    """

    mean: float
    std: float
    own_std: float
    ground: float


@inlined
def _weight(height: float, mean: float, std: float) -> float:
    """Weight of a height: normal, or Sen2Cor's prior if the mean is unknown. [m]."""
    if not np.isnan(mean):
        z = (height - mean) / std
        normal: float = np.exp(-_HALF * z * z)
        return normal
    if height <= _RISE_END:
        x = (_RISE_END - height) / (_RISE_END - _LOW_HALF)
    else:
        x = max(height - _FALL_START, _ZERO) / (_HIGH_HALF - _FALL_START)
    return _ONE / (_ONE + x**10)


@compiled
def _project(
    cloud: Mask, own: Floats, heights: _Heights, down: Floats, right: Floats, out: Floats
) -> None:
    """Spread clouds over their possible shadows; the highest weight counts."""
    rows, columns = cloud.shape
    for i in range(rows):
        for j in range(columns):
            if not cloud[i, j]:
                continue
            dy, dx = _at(down, i, j), _at(right, i, j)
            mean, std = _at(own, i, j), heights.own_std
            if np.isnan(mean):
                mean, std = heights.mean, heights.std
            low, high = _ZERO, _HIGHEST
            if not np.isnan(mean):
                low, high = max(_ZERO, mean - _REACH * std), mean + _REACH * std
            step = min(_ONE / max(abs(dy), abs(dx), _TINY), _STEP, _HALF * std)
            for k in range(int(np.ceil((high - low) / step)) + 1):
                height: float = min(low + np.float32(k) * step, high)  # type: ignore[assignment]
                weight = _weight(height, mean, std)
                rise = max(height - heights.ground, _ZERO)
                y = int(np.floor(np.float32(i) + rise * dy + _HALF))
                x = int(np.floor(np.float32(j) + rise * dx + _HALF))
                if 0 <= y < rows and 0 <= x < columns and out[y, x] < weight:
                    out[y, x] = weight


@inlined
def _at(field: Floats, i: int, j: int) -> float:
    """Value of an array whose axes may be one."""
    row = field[i if field.shape[0] > 1 else 0]
    value: float = row[j if field.shape[1] > 1 else 0]
    return value
