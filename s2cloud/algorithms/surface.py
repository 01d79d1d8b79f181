"""Top-of-atmosphere to surface reflectance (local stage) and its environment (scene stage).

With a known environment the coupling of surface and atmosphere is linear in the pixel::

    toa = path + [ direct * boa + diffuse * environment ] / (1 - s * environment) / gain
    boa = toa * slope - intercept        (resampling.linear_by_cells)
    slope = (1 + q) * gain * (1 - s * environment)
    intercept = path * slope + q * environment

where ``q`` is the ratio of diffuse to direct transmittance from surface to sensor (Vermote et al.
1997, doi:10.1109/36.581987; Richter 1998, doi:10.1364/AO.37.004004). Without an environment the
pixel is its own surrounding: ``boa = y / (1 + s y)``, ``y = (toa - path) * gain``.

Both are ``boa = y / (1 + s y)`` with ``y = toa * a - b``: with an environment ``s`` is zero,
without one ``a`` is the gain and ``b`` the path reflectance times the gain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["correct_by_detector", "environment", "linear_terms", "uniform_surface"]


def linear_terms(
    path: Floats, gain: Floats, spherical_albedo: Floats, diffuse_ratio: Floats, around: Floats
) -> tuple[Floats, Floats]:
    """Slope and intercept of surface over top-of-atmosphere reflectance.

    Parameters
    ----------
    path
        Path reflectance, gases included.
    gain
        Inverse of the two-way transmittance, gases included.
    spherical_albedo
        Spherical albedo of the atmosphere seen from below.
    diffuse_ratio
        Diffuse over direct transmittance from surface to sensor.
    around
        Surface reflectance of the environment.

    Returns
    -------
    tuple
        Slope and intercept, same shape as the inputs, float32.
    """
    slope = (1.0 + diffuse_ratio) * gain * (1.0 - spherical_albedo * around)
    intercept = path * slope + diffuse_ratio * around
    return slope.astype(np.float32), intercept.astype(np.float32)


def uniform_surface(toa: Floats, path: Floats, gain: Floats, spherical_albedo: Floats) -> Floats:
    """Surface reflectance where the surroundings look like the pixel.

    Parameters
    ----------
    toa
        Top-of-atmosphere reflectance.
    path, gain, spherical_albedo
        As in `linear_terms`, broadcast against ``toa``.

    Returns
    -------
    numpy.ndarray
        Surface reflectance, float32.
    """
    y = (toa - path) * gain
    return np.asarray(y / (1.0 + spherical_albedo * y), dtype=np.float32)


def environment(boa: Floats, clear: npt.NDArray[np.bool_], half_side: int) -> tuple[Floats, float]:
    """Mean surface reflectance around each cell, clouds and what lies beyond the tile left out.

    Parameters
    ----------
    boa
        Surface reflectance on the cells of the scene, shape (cell_y, cell_x).
    clear
        Cells that show the surface.
    half_side
        Cells on each side of the centre that belong to the environment.

    Returns
    -------
    tuple
        Environment reflectance without gaps, float32, and the mean over the scene that fills
        places with no clear cell in reach.
    """
    usable = clear & np.isfinite(boa)
    if not usable.any():
        return np.zeros_like(boa), 0.0
    mean = float(boa[usable].mean(dtype=np.float64))
    values = np.where(usable, boa, 0.0).astype(np.float64)
    size = 2 * half_side + 1
    # Beyond the tile nothing is known: the mean is over the part of the square that is inside.
    inside = ndimage.uniform_filter(np.ones(values.shape), size, mode="constant")
    total = ndimage.uniform_filter(values, size, mode="constant") / inside
    share = ndimage.uniform_filter(usable.astype(np.float64), size, mode="constant") / inside
    # Where little is clear the scene mean comes in gently instead of the noise of few cells.
    floor = 0.05
    filled = (total + floor * mean) / (share + floor)
    return filled.astype(np.float32), mean


@nb.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def correct_by_detector(
    values: Floats,
    planes: Floats,
    detectors: npt.NDArray[np.uint8],
    step: int,
    ratio: float,
    origin: tuple[int, int],
) -> Floats:
    """Surface reflectance of a block, each pixel with the direction of its detector.

    Parameters
    ----------
    values
        Top-of-atmosphere reflectance, NaN for no-data, shape (y, x).
    planes
        ``a``, ``b`` and ``s`` on the cells of the whole scene for detectors of even and of odd
        number, shape (2, 3, cell_y, cell_x).
    detectors
        Number of the detector that sees a pixel, on pixels `step` times as wide.
    step
        Pixels of the block along one of `detectors`.
    ratio
        Cell side over pixel side.
    origin
        Row and column of the block's first pixel, from the corner of the scene.

    Returns
    -------
    numpy.ndarray
        Shape (y, x). One pass; the terms are interpolated as by ``resampling.linear_by_cells``.
    """
    height, width = values.shape
    rows, cols = planes.shape[2:]
    out = np.empty((height, width), np.float32)
    left = np.empty(width, np.int64)
    right = np.empty(width, np.int64)
    weight = np.empty(width, np.float32)
    for j in range(width):
        left[j], right[j], weight[j] = _position(origin[1] + j, ratio, cols)
    lines = np.empty((2, 3, cols), np.float32)
    coupled = planes[:, 2].any()
    one = np.float32(1.0)
    first = origin[1] % step
    for i in range(height):
        top, bottom, fy = _position(origin[0] + i, ratio, rows)
        for v in range(2):
            for n in range(3):
                for k in range(cols):
                    before = planes[v, n, top, k]
                    lines[v, n, k] = before + fy * (planes[v, n, bottom, k] - before)
        seen = detectors[(origin[0] % step + i) // step]
        start = 0
        while start < width:
            # Runs of pixels with one direction, so that the inner loop has nothing to choose.
            v = seen[(first + start) // step] & 1
            at = (first + start) // step + 1
            while at * step - first < width and seen[at] & 1 == v:
                at += 1
            stop = min(at * step - first, width)
            a, b, s = lines[v, 0], lines[v, 1], lines[v, 2]
            for j in range(start, stop):
                k, m, w = left[j], right[j], weight[j]
                y = values[i, j] * (a[k] + w * (a[m] - a[k])) - (b[k] + w * (b[m] - b[k]))
                if coupled:
                    y /= one + (s[k] + w * (s[m] - s[k])) * y
                out[i, j] = y
            start = stop
    return out


@nb.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _position(pixel: int, ratio: float, cells: int) -> tuple[int, int, np.float32]:
    """Cells before and after a pixel along one axis, and how far it is from the first."""
    place = min(max((pixel + 0.5) / ratio - 0.5, 0.0), cells - 1.0)
    before = min(int(place), max(cells - 2, 0))
    return before, min(before + 1, cells - 1), np.float32(place - before)
