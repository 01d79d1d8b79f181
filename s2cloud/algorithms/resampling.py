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
    "cell_totals",
    "extremes",
    "interpolate_cells",
    "linear_by_cells",
    "mean_reflectance",
    "median3",
    "upsample",
]


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def cell_totals(
    values: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], cell_px: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Sums of the masked pixels in cells, and how many they are.

    Parameters
    ----------
    values
        Shape (y, x), NaN is left out.
    mask
        Pixels that count, same shape.
    cell_px
        Pixels per side of a cell; the last cells of a row or column may be cut.

    Returns
    -------
    tuple
        Sums and numbers, both (cell_y, cell_x).
    """
    height, width = values.shape
    shape = (-(-height // cell_px), -(-width // cell_px))
    total = np.zeros(shape, np.float64)
    count = np.zeros(shape, np.int64)
    for i in range(height):
        line = i // cell_px
        for j in range(width):
            if mask[i, j] and np.isfinite(values[i, j]):
                total[line, j // cell_px] += values[i, j]
                count[line, j // cell_px] += 1
    return total, count


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
    nothing = np.float32(np.nan)
    # Loops of known length become vector instructions.
    if factor == 1:
        for i in range(height):
            line, to = counts[i], out[i]
            for j in range(width):
                value = line[j]
                mean = np.float32(np.uint32(value)) * step + base
                to[j] = nothing if (value == 0) | (value == 65535) else mean
        return out
    if factor == 2:
        for i in range(height):
            upper, lower, to = counts[2 * i], counts[2 * i + 1], out[i]
            for j in range(width):
                a, b, c, d = upper[2 * j], upper[2 * j + 1], lower[2 * j], lower[2 * j + 1]
                total = np.uint32(a) + np.uint32(b) + np.uint32(c) + np.uint32(d)
                least, most = min(a, b, c, d), max(a, b, c, d)
                mean = np.float32(np.uint32(total)) * step + base
                to[j] = nothing if (least == 0) | (most == 65535) else mean
        return out
    for i in range(height):
        for j in range(width):
            total = np.uint32(0)
            bad = False
            for k in range(factor):
                for m in range(factor):
                    value = counts[i * factor + k, j * factor + m]
                    total += np.uint32(value)
                    bad |= (value == 0) | (value == 65535)
            out[i, j] = nothing if bad else np.float32(total) * step + base
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def any_saturated(counts: npt.NDArray[np.uint16], factor: int) -> npt.NDArray[np.bool_]:
    """Whether any of ``factor`` x ``factor`` pixels is saturated (65535), shape (y, x)."""
    saturated: npt.NDArray[np.bool_] = extremes(counts, factor)[1] == 65535
    return saturated


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def extremes(
    counts: npt.NDArray[np.uint16], factor: int
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """Least and largest of ``factor`` x ``factor`` pixels, shape (y, x) each.

    A least of 0 tells that one of them has no data, a largest of 65535 that one is saturated.
    """
    height = counts.shape[0] // factor
    width = counts.shape[1] // factor
    least = np.empty((height, width), np.uint16)
    most = np.empty((height, width), np.uint16)
    for i in range(height):
        low, high = least[i], most[i]
        if factor == 2:
            upper, lower = counts[2 * i], counts[2 * i + 1]
            for j in range(width):
                a, b, c, d = upper[2 * j], upper[2 * j + 1], lower[2 * j], lower[2 * j + 1]
                low[j] = min(a, b, c, d)
                high[j] = max(a, b, c, d)
            continue
        for j in range(width):
            low[j] = high[j] = counts[i * factor, j * factor]
        for k in range(factor):
            line = counts[i * factor + k]
            for m in range(factor):
                for j in range(width):
                    value = line[j * factor + m]
                    low[j] = min(low[j], value)
                    high[j] = max(high[j], value)
    return least, most


@nb.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
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
    one, nothing = np.float32(1.0), np.float32(0.0)
    left = np.empty(width, np.int64)
    right = np.empty(width, np.int64)
    under = np.empty(width, np.int64)
    weight = np.empty(width, np.float32)
    for j in range(width):
        x = (origin[1] + j + 0.5) / factor - 0.5
        x0 = math.floor(x)
        weight[j] = np.float32(x - x0)
        left[j] = min(max(x0 - start[1], 0), last_col)
        right[j] = min(max(x0 + 1 - start[1], 0), last_col)
        under[j] = min(max((origin[1] + j) // factor - start[1], 0), last_col)
    for i in range(height):
        y = (origin[0] + i + 0.5) / factor - 0.5
        y0 = math.floor(y)
        fy = np.float32(y - y0)
        upper = values[min(max(y0 - start[0], 0), last_row)]
        lower = values[min(max(y0 + 1 - start[0], 0), last_row)]
        middle = values[min(max((origin[0] + i) // factor - start[0], 0), last_row)]
        line = out[i]
        for j in range(width):
            fx = weight[j]
            a, b, c, d = upper[left[j]], upper[right[j]], lower[left[j]], lower[right[j]]
            wa, wb, wc, wd = (one - fy) * (one - fx), (one - fy) * fx, fy * (one - fx), fy * fx
            total = nothing if np.isnan(a) else wa * a
            total += nothing if np.isnan(b) else wb * b
            total += nothing if np.isnan(c) else wc * c
            total += nothing if np.isnan(d) else wd * d
            share = nothing if np.isnan(a) else wa
            share += nothing if np.isnan(b) else wb
            share += nothing if np.isnan(c) else wc
            share += nothing if np.isnan(d) else wd
            below = middle[under[j]]
            line[j] = below if np.isnan(below) else total / share
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
        for k in range(left[0], right[width - 1] + 1):
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
    edges = runs_of(left)
    a = np.empty(cols, np.float32)
    b = np.empty(cols, np.float32)
    for i in range(height):
        top, bottom, fy = _position(origin[0] + i, ratio, rows)
        for k in range(left[0], right[width - 1] + 1):
            a[k] = slope[top, k] + fy * (slope[bottom, k] - slope[top, k])
            b[k] = intercept[top, k] + fy * (intercept[bottom, k] - intercept[top, k])
        source, line = values[i], out[i]
        for n in range(edges.size - 1):
            # Between two centres all pixels have the same cells: a loop without look-ups.
            first, last = edges[n], edges[n + 1]
            k, m = left[first], right[first]
            a0, da, b0, db = a[k], a[m] - a[k], b[k], b[m] - b[k]
            for j in range(first, last):
                w = weight[j]
                line[j] = source[j] * (a0 + w * da) - (b0 + w * db)
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def runs_of(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where equal neighbours begin and end: the first of each run, and the size at the end."""
    edges = np.empty(numbers.size + 1, np.int64)
    count = 0
    for j in range(numbers.size):
        if j == 0 or numbers[j] != numbers[j - 1]:
            edges[count] = j
            count += 1
    edges[count] = numbers.size
    return edges[: count + 1]


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
