"""Small raster tools: strips, bilinear magnification, means over blocks, overlap of grids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.model.errors import InputError
from s2cloud.model.grid import grid_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    import xarray as xr

    Float32s = npt.NDArray[np.float32]

__all__ = ["STRIP", "block_mean", "from_nodes", "magnified", "overlap", "strips"]

#: Rows of the 10 m grid worked on at a time; part of what makes a seed reproducible.
STRIP: Final = 240


def strips(height: int, step: int) -> Iterator[slice]:
    """Consecutive row ranges that cover ``height`` rows."""
    for start in range(0, height, step):
        yield slice(start, min(start + step, height))


def magnified(field: npt.NDArray[Any], factor: int, rows: slice) -> Float32s:
    """Bilinear interpolation from cell centres to the centres of smaller cells.

    Parameters
    ----------
    field
        Values of the cells, shape (y, x).
    factor
        Small cells along one side of a cell.
    rows
        Rows of ``field`` wanted.

    Returns
    -------
    ndarray
        Shape ((rows) * factor, x * factor); constant beyond the outermost centres.
    """
    height, width = field.shape
    index = np.clip(np.arange(rows.start - 1, rows.stop + 1), 0, height - 1)
    part = np.asarray(field[index], dtype=np.float32)
    if factor == 1:
        return part[1:-1]
    tall = np.empty(((rows.stop - rows.start) * factor, width), dtype=np.float32)
    wide = np.empty((tall.shape[0], width * factor), dtype=np.float32)
    for phase in range(factor):
        position = (phase + 0.5) / factor - 0.5
        near, weight = (0, -position) if position < 0 else (2, position)
        neighbour = part[near : near + tall.shape[0] // factor]
        tall[phase::factor] = part[1:-1] + np.float32(weight) * (neighbour - part[1:-1])
    padded = np.pad(tall, ((0, 0), (1, 1)), mode="edge")
    for phase in range(factor):
        position = (phase + 0.5) / factor - 0.5
        near, weight = (0, -position) if position < 0 else (2, position)
        neighbour = padded[:, near : near + width]
        wide[:, phase::factor] = tall + np.float32(weight) * (neighbour - tall)
    return wide


def block_mean(field: npt.NDArray[Any], factor: int) -> Float32s:
    """Means over square blocks; the sides must be multiples of ``factor``."""
    if factor == 1:
        return np.asarray(field, dtype=np.float32)
    # Rows first: whole contiguous rows are added, then few columns are left to pick apart.
    tall = field[::factor].astype(np.float32)
    for phase in range(1, factor):
        tall += field[phase::factor]
    mean = tall[:, ::factor].copy()
    for phase in range(1, factor):
        mean += tall[:, phase::factor]
    mean *= np.float32(1 / factor**2)
    return mean


def from_nodes(
    nodes: npt.NDArray[Any], step: float, y: npt.NDArray[Any], x: npt.NDArray[Any]
) -> Float32s:
    """Bilinear interpolation from nodes at multiples of ``step``.

    Parameters
    ----------
    nodes
        Values at the nodes, shape (..., node_y, node_x).
    step
        Distance of the nodes, in the unit of ``y`` and ``x``.
    y, x
        Positions from the first node, shapes (y,) and (x,).

    Returns
    -------
    ndarray
        Shape (..., y, x).
    """
    out = np.asarray(nodes, dtype=np.float32)
    for axis, position in ((-2, y), (-1, x)):
        at = np.asarray(position, dtype=np.float64) / step
        first = np.clip(at.astype(np.intp), 0, max(out.shape[axis] - 2, 0))
        second = np.minimum(first + 1, out.shape[axis] - 1)
        weight = (at - first).astype(np.float32)
        if axis == -2:
            weight = weight[:, None]
        low = np.take(out, first, axis=axis)
        out = low + weight * (np.take(out, second, axis=axis) - low)
    return out


def overlap(
    reference: xr.DataArray, found: xr.DataArray, factor: int, slack: float = 0.01
) -> tuple[slice, ...]:
    """Part of a reference, made coarser, that a result covers.

    Parameters
    ----------
    reference, found
        With coordinates of the pixel centres.
    factor
        Pixels of the reference along one side of a pixel of the result.
    slack
        How far the grids may be apart. [pixel]

    Returns
    -------
    tuple of slice
        Rows and columns of the coarser reference.

    Raises
    ------
    InputError
        If the result is not a part of the reference.
    """
    whole, part = grid_of(reference).scaled(factor), grid_of(found)
    row = (whole.uly - part.uly) / whole.pixel_size
    column = (part.ulx - whole.ulx) / whole.pixel_size
    first = (round(row), round(column))
    fits = abs(row - first[0]) <= slack and abs(column - first[1]) <= slack
    inside = min(first) >= 0 and all(
        a + n <= m for a, n, m in zip(first, part.shape, whole.shape, strict=True)
    )
    if not (fits and inside and abs(part.pixel_size / whole.pixel_size - 1) < 0.01):
        raise InputError(
            "result and truth lie on different grids",
            where=str(found.name),
            expected=f"a part of {whole.bounds}",
            found=str(part.bounds),
            fix="compare with the truth of the same product",
        )
    return tuple(slice(a, a + n) for a, n in zip(first, part.shape, strict=True))
