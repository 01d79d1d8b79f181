"""Small raster tools: strips, bilinear magnification, means over blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Float32s = npt.NDArray[np.float32]

__all__ = ["STRIP", "block_mean", "from_nodes", "magnified", "strips"]

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


def from_nodes(nodes: npt.NDArray[Any], step: float, y: Float32s, x: Float32s) -> Float32s:
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
