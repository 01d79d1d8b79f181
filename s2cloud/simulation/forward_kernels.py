"""The compiled sum over all light that reaches the sensor from a pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numba import njit

if TYPE_CHECKING:
    import numpy.typing as npt

    Float32s = npt.NDArray[np.float32]

__all__ = ["SHADED_RING", "TERMS", "toa_pixels"]

#: Terms of the atmosphere at its nodes, in this order; even detectors before odd ones.
TERMS: Final = (
    "path_even",
    "path_odd",
    "pixel_even",
    "pixel_odd",
    "haze_even",
    "haze_odd",
    "beam",
    "sky",
    "circumsolar",
    "spherical_albedo",
    "molecular_share",
)
#: Part of the circumsolar light that reaches ground from which the sun is hidden: the mean over
#: obstacles 50 to 120 degrees wide and 3 degrees higher than the sun, which leave 0.4 to 0.8.
SHADED_RING: Final = np.float32(0.6)
_BEAM: Final = 6
_SKY: Final = 7
_CIRCUMSOLAR: Final = 8
_ALBEDO: Final = 9
_MOLECULES: Final = 10


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _level_weights(elevations: Float32s, z: float, out: Float32s) -> None:
    """Lagrange weights of all levels."""
    for i in range(elevations.size):
        weight = np.float32(1.0)
        for j in range(elevations.size):
            if j != i:
                weight *= (z - elevations[j]) / (elevations[i] - elevations[j])
        out[i] = weight


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _between(position: float, count: int) -> tuple[int, int, float]:
    """Neighbours of a position among `count` places, and the weight of the second."""
    at = min(max(position, 0.0), count - 1.0)
    first = min(int(at), max(count - 2, 0))
    return first, min(first + 1, count - 1), at - first


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _rows_between(fields: Float32s, position: float, out: Float32s) -> None:
    """Row of fields, shape (field, y, x), at a position between rows; shape (x, field)."""
    i, j, f = _between(position, fields.shape[1])
    weight = np.float32(f)
    for k in range(fields.shape[2]):
        for t in range(fields.shape[0]):
            low = fields[t, i, k]
            out[k, t] = low + weight * (fields[t, j, k] - low)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _seen(
    term: Float32s, near: np.float32, wide: np.float32,
    pixel: np.float32, parity: int, lit: np.float32, tilt: np.float32, view: np.float32,
) -> np.float32:  # fmt: skip
    """Reflectance of a pixel from its terms; the equation of `s2cloud.simulation.forward`."""
    one = np.float32(1.0)
    mean = near + term[_MOLECULES] * (wide - near)
    beam, sky, ring = term[_BEAM], term[_SKY], term[_CIRCUMSOLAR]
    whole = (beam + sky) / (one - term[_ALBEDO] * mean)
    light = lit * tilt * (beam + sky * ring)
    light += sky * (one - ring + (one - lit) * SHADED_RING * ring) * view
    light += whole * (term[_ALBEDO] * mean * view + (one - view) * near)
    own = term[2 + parity] * pixel * light
    seen: np.float32 = term[parity] + own + term[4 + parity] * mean * whole
    return seen


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def toa_pixels(  # noqa: PLR0913, PLR0917  # a kernel takes arrays, not objects
    terms: Float32s, elevations: Float32s, around: Float32s,
    surface: Float32s, odd: npt.NDArray[np.bool_], shadow: Float32s, terrain: Float32s,
    first_row: int, sizes: tuple[float, float, float], out: Float32s,
) -> None:  # fmt: skip
    """Top-of-atmosphere reflectance of some rows.

    Parameters
    ----------
    terms
        `TERMS` at the nodes, shape (term, level, node_y, node_x).
    elevations
        Of the levels. [m]
    around
        Reflectance of the surroundings as molecules and as aerosol gather it, on the cells,
        shape (2, y, x).
    surface, odd
        Reflectance and parity of the detector, shape (row, x).
    shadow
        Share of the direct beam taken by clouds; of shape (0, 0) for none.
    terrain
        Elevation, illumination, sky view and terrain shadow, shape (4, row, x); of shape
        (4, 0, 0) for flat, open ground.
    first_row
        Row of the image that the first row is.
    sizes
        Sizes of a pixel, of the meshes of nodes, and of a cell. [m]
    out
        Result, shape (row, x).
    """
    number, levels = terms.shape[:2]
    pixel, node_step, cell = sizes
    flat = terms.reshape((number * levels, terms.shape[2], terms.shape[3]))
    line = np.empty((flat.shape[2], flat.shape[0]), np.float32)
    env = np.empty((around.shape[2], 2), np.float32)
    here = np.empty(number, np.float32)
    weights = np.ones(levels, np.float32)
    shadowed, rugged = shadow.size > 0, terrain.size > 0
    for row in range(out.shape[0]):
        y = (first_row + row + 0.5) * pixel
        _rows_between(flat, y / node_step, line)
        _rows_between(around, y / cell - 0.5, env)
        for column in range(out.shape[1]):
            x = (column + 0.5) * pixel
            lit, tilt, view = np.float32(1.0), np.float32(1.0), np.float32(1.0)
            if shadowed:
                lit -= shadow[row, column]
            if rugged:
                _level_weights(elevations, terrain[0, row, column], weights)
                lit *= np.float32(1.0) - terrain[3, row, column]
                tilt = terrain[1, row, column]
                view = terrain[2, row, column]
            i, j, f = _between(x / node_step, flat.shape[2])
            weight = np.float32(f)
            for t in range(number):
                here[t] = np.float32(0.0)
                for v in range(levels):
                    low = line[i, t * levels + v]
                    here[t] += weights[v] * (low + weight * (line[j, t * levels + v] - low))
            i, j, f = _between(x / cell - 0.5, around.shape[2])
            weight = np.float32(f)
            wide = env[i, 0] + weight * (env[j, 0] - env[i, 0])
            near = env[i, 1] + weight * (env[j, 1] - env[i, 1])
            parity = 1 if odd[row, column] else 0
            out[row, column] = _seen(
                here, near, wide, surface[row, column], parity, lit, tilt, view
            )
