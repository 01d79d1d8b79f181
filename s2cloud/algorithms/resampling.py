"""Counts of one grid to top-of-atmosphere reflectance on another (local stage).

Grids nest (10, 20, 60 m), so going down is a block mean and going up is bilinear. No-data (0) and
saturated (65535) counts become NaN; a mean over a block that holds one of them is NaN as well, so
that no border pixel carries a share of nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "any_saturated",
    "interpolate_cells",
    "linear_by_cells",
    "mean_reflectance",
    "median3",
    "upsample",
]


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def mean_reflectance(
    counts: npt.NDArray[np.uint16], factor: int, scale: float, offset: float
) -> npt.NDArray[np.float32]:
    """Reflectance averaged over ``factor`` x ``factor`` pixels.

    Parameters
    ----------
    counts
        Stored integers, shape (y * factor, x * factor).
    factor
        Pixels per side of a block; 1 only decodes.
    scale, offset
        ``reflectance = counts * scale + offset``.

    Returns
    -------
    numpy.ndarray
        Top-of-atmosphere reflectance, shape (y, x), NaN where any contributor is no-data or
        saturated.
    """
    height = counts.shape[0] // factor
    width = counts.shape[1] // factor
    out = np.empty((height, width), np.float32)
    step = np.float32(scale / (factor * factor))
    base = np.float32(offset)
    for i in range(height):
        for j in range(width):
            total = np.uint32(0)
            bad = False
            for k in range(factor):
                for m in range(factor):
                    value = counts[i * factor + k, j * factor + m]
                    total += np.uint32(value)
                    bad |= (value == 0) | (value == 65535)
            out[i, j] = np.float32(np.nan) if bad else np.float32(total) * step + base
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def any_saturated(counts: npt.NDArray[np.uint16], factor: int) -> npt.NDArray[np.bool_]:
    """Whether any of ``factor`` x ``factor`` pixels is saturated (65535), shape (y, x)."""
    height = counts.shape[0] // factor
    width = counts.shape[1] // factor
    out = np.zeros((height, width), np.bool_)
    for i in range(height * factor):
        for j in range(width * factor):
            if counts[i, j] == 65535:
                out[i // factor, j // factor] = True
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def upsample(
    values: npt.NDArray[np.float32],
    factor: int,
    start: tuple[int, int],
    origin: tuple[int, int],
    shape: tuple[int, int],
) -> npt.NDArray[np.float32]:
    """Bilinear interpolation to pixels ``factor`` times as fine.

    Parameters
    ----------
    values
        Coarse pixels with a halo of at least one, NaN for no-data.
    factor
        Fine pixels per coarse pixel along one axis.
    start
        Row and column of ``values[0, 0]`` on the coarse grid of the tile.
    origin
        Row and column of the first wanted pixel on the fine grid of the tile.
    shape
        Rows and columns wanted.

    Returns
    -------
    numpy.ndarray
        Shape ``shape``; NaN below a coarse no-data pixel, neighbours without data are left out of
        the mean elsewhere.
    """
    height, width = shape
    out = np.empty((height, width), np.float32)
    last_row = values.shape[0] - 1
    last_col = values.shape[1] - 1
    for i in range(height):
        y = (origin[0] + i + 0.5) / factor - 0.5
        y0 = math.floor(y)
        fy = np.float32(y - y0)
        r0 = min(max(y0 - start[0], 0), last_row)
        r1 = min(max(y0 + 1 - start[0], 0), last_row)
        below_row = min(max((origin[0] + i) // factor - start[0], 0), last_row)
        for j in range(width):
            x = (origin[1] + j + 0.5) / factor - 0.5
            x0 = math.floor(x)
            fx = np.float32(x - x0)
            c0 = min(max(x0 - start[1], 0), last_col)
            c1 = min(max(x0 + 1 - start[1], 0), last_col)
            below = values[below_row, min(max((origin[1] + j) // factor - start[1], 0), last_col)]
            if np.isnan(below):
                out[i, j] = below
                continue
            total = np.float32(0.0)
            weight = np.float32(0.0)
            one = np.float32(1.0)
            for row, wy in ((r0, one - fy), (r1, fy)):
                for col, wx in ((c0, one - fx), (c1, fx)):
                    value = values[row, col]
                    if not np.isnan(value):
                        total += wy * wx * value
                        weight += wy * wx
            out[i, j] = total / weight
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _position(pixel: int, ratio: float, cells: int) -> tuple[int, int, np.float32]:
    """Cells before and after a pixel along one axis, and how far it is from the first."""
    place = min(max((pixel + 0.5) / ratio - 0.5, 0.0), cells - 1.0)
    before = min(int(place), max(cells - 2, 0))
    return before, min(before + 1, cells - 1), np.float32(place - before)


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def interpolate_cells(
    cells: npt.NDArray[np.float32],
    ratio: float,
    origin: tuple[int, int],
    shape: tuple[int, int],
) -> npt.NDArray[np.float32]:
    """Bilinear interpolation of a field on the coarse cells of a scene to pixels.

    Parameters
    ----------
    cells
        Values at the cell centres of the whole scene, shape (cell_y, cell_x), no NaN.
    ratio
        Cell side over pixel side.
    origin
        Row and column of the first wanted pixel, from the corner of the scene.
    shape
        Rows and columns wanted.

    Returns
    -------
    numpy.ndarray
        Shape ``shape``; constant beyond the outermost cell centres.
    """
    height, width = shape
    rows, cols = cells.shape
    out = np.empty((height, width), np.float32)
    left = np.empty(width, np.int64)
    right = np.empty(width, np.int64)
    weight = np.empty(width, np.float32)
    for j in range(width):
        left[j], right[j], weight[j] = _position(origin[1] + j, ratio, cols)
    line = np.empty(cols, np.float32)
    for i in range(height):
        top, bottom, fy = _position(origin[0] + i, ratio, rows)
        for k in range(cols):
            line[k] = cells[top, k] + fy * (cells[bottom, k] - cells[top, k])
        for j in range(width):
            a = line[left[j]]
            out[i, j] = a + weight[j] * (line[right[j]] - a)
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def linear_by_cells(
    values: npt.NDArray[np.float32],
    slope: npt.NDArray[np.float32],
    intercept: npt.NDArray[np.float32],
    ratio: float,
    origin: tuple[int, int],
) -> npt.NDArray[np.float32]:
    """``values * slope - intercept`` with both terms interpolated as by `interpolate_cells`.

    Parameters
    ----------
    values
        Pixels of a block, NaN for no-data, shape (y, x).
    slope, intercept
        Terms at the cell centres of the whole scene, shape (cell_y, cell_x), no NaN.
    ratio
        Cell side over pixel side.
    origin
        Row and column of the block's first pixel, from the corner of the scene.

    Returns
    -------
    numpy.ndarray
        Shape (y, x). One pass over the pixels, nothing of their size in between.
    """
    height, width = values.shape
    rows, cols = slope.shape
    out = np.empty((height, width), np.float32)
    left = np.empty(width, np.int64)
    right = np.empty(width, np.int64)
    weight = np.empty(width, np.float32)
    for j in range(width):
        left[j], right[j], weight[j] = _position(origin[1] + j, ratio, cols)
    a = np.empty(cols, np.float32)
    b = np.empty(cols, np.float32)
    for i in range(height):
        top, bottom, fy = _position(origin[0] + i, ratio, rows)
        for k in range(cols):
            a[k] = slope[top, k] + fy * (slope[bottom, k] - slope[top, k])
            b[k] = intercept[top, k] + fy * (intercept[bottom, k] - intercept[top, k])
        for j in range(width):
            k, m, w = left[j], right[j], weight[j]
            out[i, j] = values[i, j] * (a[k] + w * (a[m] - a[k])) - (b[k] + w * (b[m] - b[k]))
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def median3(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Median over 3 x 3 pixels without the outermost ring, NaN left out.

    Parameters
    ----------
    values
        Shape (y + 2, x + 2).

    Returns
    -------
    numpy.ndarray
        Shape (y, x); NaN only where all nine are.
    """
    height = values.shape[0] - 2
    width = values.shape[1] - 2
    out = np.empty((height, width), np.float32)
    nine = np.empty(9, np.float32)
    for i in range(height):
        for j in range(width):
            count = 0
            for k in range(3):
                for m in range(3):
                    value = values[i + k, j + m]
                    if not np.isnan(value):
                        # Insertion keeps the few values sorted; a call to sort costs more.
                        p = count
                        while p > 0 and nine[p - 1] > value:
                            nine[p] = nine[p - 1]
                            p -= 1
                        nine[p] = value
                        count += 1
            if count == 0:
                out[i, j] = np.float32(np.nan)
            elif count % 2:
                out[i, j] = nine[count // 2]
            else:
                out[i, j] = np.float32(0.5) * (nine[count // 2 - 1] + nine[count // 2])
    return out
