"""What the terrain around a place hides: the sun, and a part of the sky."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numba as nb
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Float32s = npt.NDArray[np.float32]

__all__ = ["horizon", "sky_view"]

#: Directions and distances [m] in which horizons are sought for the view of the sky.
_DIRECTIONS: Final = 16
_REACH: Final = (
    60, 120, 180, 240, 300, 360, 430, 520, 620, 740, 890, 1060, 1270, 1520, 1820, 2180, 2600, 3100,
)  # fmt: skip


def sky_view(elevation: Float32s, cell: float, first: int, count: int) -> Float32s:
    """Sky-view factor of the inclined ground in a square of a lattice.

    Parameters
    ----------
    elevation
        [m], shape (y, x)
    cell
        Side of a cell. [m]
    first, count
        First row and column, and number of rows and columns wanted.

    Returns
    -------
    ndarray
        [1], shape (count, count)

    Notes
    -----
    With the zenith angle ``H`` of the horizon in direction ``phi``, slope ``S`` and aspect ``A``::

        V = mean over phi of  cos S sin2 H + sin S cos(phi - A) (H - sin H cos H)

    References
    ----------
    Dozier, J. and Frew, J. (1990): Rapid calculation of terrain parameters for radiation modeling
    from digital elevation data, doi:10.1109/36.58986.
    """
    reach = np.array(_REACH, dtype=np.float32)
    angle = 2 * np.pi * (np.arange(_DIRECTIONS) + 0.5) / _DIRECTIONS
    east, north = np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)
    out = np.empty((count, count), dtype=np.float32)
    _sky_view(elevation, np.float32(cell), first, reach, east, north, out)
    return out


def horizon(
    elevation: Float32s, cell: float, first: int, count: int, saa: float, lowest: float
) -> Float32s:
    """Tangent of the elevation of the horizon in the direction of the sun.

    Parameters
    ----------
    elevation, cell, first, count
        See `sky_view`.
    saa
        Azimuth of the sun, clockwise from north. [degree]
    lowest
        A tangent that the sun stands well above; horizons lower than it are not sought. [1]

    Returns
    -------
    ndarray
        [1], not less than 0, shape (count, count)
    """
    out = np.empty((count, count), dtype=np.float32)
    east, north = np.float32(np.sin(np.radians(saa))), np.float32(np.cos(np.radians(saa)))
    top = np.float32(elevation.max())
    _horizon(elevation, np.float32(cell), first, east, north, np.float32(lowest), top, out)
    return out


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _at(field: Float32s, y: np.float32, x: np.float32) -> np.float32:
    """Bilinear value between the centres of cells, constant beyond the edge."""
    height, width = field.shape
    y = min(max(y, np.float32(0)), np.float32(height - 1.001))
    x = min(max(x, np.float32(0)), np.float32(width - 1.001))
    i, j = int(y), int(x)
    v, u = y - np.float32(i), x - np.float32(j)
    top = field[i, j] + u * (field[i, j + 1] - field[i, j])
    bottom = field[i + 1, j] + u * (field[i + 1, j + 1] - field[i + 1, j])
    return np.float32(top + v * (bottom - top))


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _sky_view(
    elevation: Float32s,
    cell: np.float32,
    first: int,
    reach: Float32s,
    east: Float32s,
    north: Float32s,
    out: Float32s,
) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            y, x = i + first, j + first
            here = elevation[y, x]
            to_east = (elevation[y, x + 1] - elevation[y, x - 1]) / (2 * cell)
            to_north = (elevation[y - 1, x] - elevation[y + 1, x]) / (2 * cell)
            upright = np.float32(1) / np.sqrt(1 + to_east * to_east + to_north * to_north)
            total = np.float32(0)
            for k in range(east.size):
                rise = np.float32(0)
                for distance in reach:
                    away = distance / cell
                    there = _at(
                        elevation, np.float32(y) - away * north[k], np.float32(x) + away * east[k]
                    )
                    rise = max(rise, (there - here) / distance)
                zenith = np.float32(np.pi / 2) - np.arctan(rise)
                sine = np.float32(1) / np.sqrt(1 + rise * rise)
                # sin S cos(phi - A): the part of the normal towards phi.
                facing = -upright * (to_east * east[k] + to_north * north[k])
                total += upright * sine * sine + facing * (zenith - sine * sine * rise)
            out[i, j] = min(max(total / np.float32(east.size), np.float32(0)), np.float32(1))


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _horizon(
    elevation: Float32s,
    cell: np.float32,
    first: int,
    east: np.float32,
    north: np.float32,
    lowest: np.float32,
    top: np.float32,
    out: Float32s,
) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            y, x = i + first, j + first
            here = elevation[y, x]
            found = np.float32(0)
            away = np.float32(1)
            while top - here > away * cell * max(found, lowest):
                v, u = np.float32(y) - away * north, np.float32(x) + away * east
                if v < 0 or u < 0 or v > elevation.shape[0] - 1 or u > elevation.shape[1] - 1:
                    break
                found = max(found, (_at(elevation, v, u) - here) / (away * cell))
                away += np.float32(0.5)
            out[i, j] = found
