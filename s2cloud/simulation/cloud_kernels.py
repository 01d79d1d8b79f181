"""The compiled search for the cloud that a ray passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numba as nb
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Float32s = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["DETAIL_LIMIT", "march"]

#: Greatest detail, in its standard deviations.
DETAIL_LIMIT: Final = 2.5

_CELL: Final = np.float32(60.0)
_PIXEL: Final = np.float32(10.0)
#: Distance over which thickness is compared to tell the sunlit side of a cloud. [m]
_SIDE: Final = np.float32(120.0)


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _periodic(field: Float32s, y: np.float32, x: np.float32) -> np.float32:
    """Bilinear value between the centres of cells of a periodic field."""
    height, width = field.shape
    i, j = int(np.floor(y)), int(np.floor(x))
    v, u = y - np.float32(i), x - np.float32(j)
    # Division is slow, and seldom needed.
    if i < 0 or i >= height:
        i %= height
    if j < 0 or j >= width:
        j %= width
    k = i + 1 if i + 1 < height else 0
    m = j + 1 if j + 1 < width else 0
    top = field[i, j] + u * (field[i, m] - field[i, j])
    bottom = field[k, j] + u * (field[k, m] - field[k, j])
    return np.float32(top + v * (bottom - top))


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _node(nodes: Float32s, y: np.float32, x: np.float32) -> np.float32:
    height, width = nodes.shape
    i, j = min(int(y), height - 2), min(int(x), width - 2)
    v, u = y - np.float32(i), x - np.float32(j)
    top = nodes[i, j] + u * (nodes[i, j + 1] - nodes[i, j])
    bottom = nodes[i + 1, j] + u * (nodes[i + 1, j + 1] - nodes[i + 1, j])
    return np.float32(top + v * (bottom - top))


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _cell_shifts(
    height: Float32s, ground: Float32s, lean: Float32s, step: float, first: int, out: Float32s
) -> None:
    """Way from cells of the ground to the cloud above, south and east. [m].

    `out` has the shape (parity, row, x, 2); its first row is the cell row `first`.
    """
    rows, columns = ground.shape
    half = np.float32(0.5)
    for parity in range(out.shape[0]):
        for k in range(out.shape[1]):
            i = min(max(first + k, 0), rows - 1)
            for j in range(columns):
                y, x = (np.float32(i) + half) * _CELL, (np.float32(j) + half) * _CELL
                v, u = y / np.float32(step), x / np.float32(step)
                south, east = _node(lean[parity, 0], v, u), _node(lean[parity, 1], v, u)
                # The height is that of the cloud met, found by going there and looking again.
                to_south, to_east = np.float32(0), np.float32(0)
                for _ in range(4):
                    at_y, at_x = (y + to_south) / _CELL - half, (x + to_east) / _CELL - half
                    up = _periodic(height, at_y, at_x) - ground[i, j]
                    to_south, to_east = up * south, up * east
                out[parity, k, j, 0], out[parity, k, j, 1] = to_south, to_east


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _cells_with_cloud(there: Mask, first: int, shifts: Float32s) -> Mask:
    """Cells of the ground whose rays may meet cloud, shape (row, x) of `shifts`."""
    height, width = there.shape
    parities, rows, columns, _ = shifts.shape
    out = np.zeros((rows, columns), np.bool_)
    for parity in range(parities):
        for k in range(rows):
            for j in range(columns):
                i = first + k + int(np.rint(shifts[parity, k, j, 0] / _CELL))
                m = j + int(np.rint(shifts[parity, k, j, 1] / _CELL))
                out[k, j] |= there[i % height, m % width]
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def march(  # noqa: PLR0913, PLR0917 -- arrays and numbers only, for the compiler
    amount: Float32s, height: Float32s, detail: Float32s, there: Mask, ground: Float32s,
    lean: Float32s, step: float, odd: Mask, sunward: Float32s,
    roughness: float, softness: float, thickness: float,
    first_row: int, per_cell: int, out: Float32s, lit: Float32s,
) -> None:  # fmt: skip
    """Optical thickness along the ray that ends at each pixel.

    Parameters
    ----------
    amount, height, detail, there, roughness, softness, thickness
        See `s2cloud.simulation.clouds.Layer`.
    ground
        Height of the ground on the cells. [m], shape (y, x)
    lean, step
        See `s2cloud.simulation.sight.Rays`.
    odd
        Parity of the detector, shape of `out`; of shape (1, 1) if all are of one.
    sunward
        Horizontal unit vector towards the sun, south and east.
    first_row
        Row of the image that the first row is, first of a cell.
    per_cell
        Pixels along one side of a cell.
    out, lit
        Results: thickness, and how much the cloud's side faces the sun; shape (row, x).
    """
    rows, columns = out.shape
    cells_x = ground.shape[1]
    one_parity = odd.size == 1
    half, grain = np.float32(0.5), np.float32(roughness)
    most = grain * np.float32(DETAIL_LIMIT)
    size = _CELL / np.float32(per_cell)
    first = first_row // per_cell - 1
    shifts = np.empty((1 if one_parity else 2, rows // per_cell + 2, cells_x, 2), np.float32)
    _cell_shifts(height, ground, lean, step, first, shifts)
    near = _cells_with_cloud(there, first, shifts)
    for row in range(rows):
        i = (first_row + row) // per_cell
        y = np.float32(first_row + row) + half
        # Between the centres of two cells; from the image's first row, so that strips agree.
        down = y / np.float32(per_cell) - half
        above = int(np.floor(down))
        v, k = down - np.float32(above), above - first
        for column in range(columns):
            j = column // per_cell
            if not near[i - first, j]:
                continue
            parity = 0 if one_parity or not odd[row, column] else 1
            x = np.float32(column) + half
            right = min(
                max(x / np.float32(per_cell) - half, np.float32(0)), cells_x - np.float32(1)
            )
            m = min(int(right), cells_x - 2)
            u = right - np.float32(m)
            at_y, at_x = y * size, x * size
            part = shifts[parity]
            for axis in range(2):
                top = part[k, m, axis] + u * (part[k, m + 1, axis] - part[k, m, axis])
                low = part[k + 1, m, axis]
                low += u * (part[k + 1, m + 1, axis] - low)
                way = top + v * (low - top)
                if axis == 0:
                    at_y += way
                else:
                    at_x += way
            found = _periodic(amount, at_y / _CELL - half, at_x / _CELL - half)
            if found < -most:
                continue
            found += grain * _periodic(detail, at_y / _PIXEL - half, at_x / _PIXEL - half)
            if found <= 0:
                continue
            full = min(found / np.float32(softness), np.float32(1))
            out[row, column] = np.float32(thickness) * full * full
            side_y, side_x = at_y + _SIDE * sunward[0], at_x + _SIDE * sunward[1]
            beside = _periodic(amount, side_y / _CELL - half, side_x / _CELL - half)
            beside += grain * _periodic(detail, side_y / _PIXEL - half, side_x / _PIXEL - half)
            lit[row, column] = min(max((found - beside) * 3, np.float32(-1)), np.float32(1))
