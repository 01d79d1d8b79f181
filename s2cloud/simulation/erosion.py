"""Mountains as rivers shape them: uplift against incision, on a periodic lattice.

References
----------
Braun, J. and Willett, S. D. (2013): A very efficient O(n), implicit and parallel method to solve
the stream power equation governing fluvial incision and landscape evolution,
doi:10.1016/j.geomorph.2012.10.008.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numba as nb
import numpy as np
from scipy import ndimage

from s2cloud.simulation.noise import fractal

if TYPE_CHECKING:
    import numpy.typing as npt

    Float32s = npt.NDArray[np.float32]

__all__ = ["eroded", "mountains"]

#: Cells of the result per cell on which rivers flow.
_RIVER_CELLS: Final = 3.5
#: Steps of time, and how fast rivers cut for a given catchment; only the shape matters.
_STEPS: Final = 60
_INCISION: Final = 0.35
#: Power of the catchment's area in the law of incision.
_AREA_POWER: Final = 0.45
#: Share of the lattice that stays low from the beginning.
_VALLEYS: Final = 0.02


def mountains(size: int, rng: np.random.Generator) -> Float32s:
    """Mountains on a periodic lattice.

    Parameters
    ----------
    size
        Number of rows and columns.
    rng
        Source of randomness.

    Returns
    -------
    ndarray
        Height in arbitrary units, shape (size, size).
    """
    coarse = max(round(size / _RIVER_CELLS), 8)
    height = eroded(fractal(coarse, 1.9, rng, longest=50.0))
    height = ndimage.gaussian_filter(height, 0.7, mode="wrap")
    # Bent a little, so that rivers do not run along the rows of the lattice.
    at = (np.arange(size) + 0.5) * (coarse / size) - 0.5
    bent = [
        grid + 1.6 * fractal(size, 3.5, rng, longest=40.0)
        for grid in np.meshgrid(at, at, indexing="ij")
    ]
    fine = ndimage.map_coordinates(height, bent, order=3, mode="grid-wrap", output=np.float32)
    fine /= np.ptp(fine)
    fine += 0.01 * (0.3 + fine) * fractal(size, 1.7, rng, longest=20.0)
    fine += 0.12 * fractal(size, 3.0, rng, longest=400.0)
    return np.asarray(fine, dtype=np.float32)


def eroded(field: Float32s) -> Float32s:
    """Mountains that rivers have cut out of rising ground.

    Parameters
    ----------
    field
        Uplift varies with this noise, and its lowest parts are the valleys that rivers end in.
        Zero mean and unit standard deviation, periodic, shape (y, x).

    Returns
    -------
    ndarray
        Height in arbitrary units, likewise periodic.
    """
    outlet = field <= np.quantile(field, _VALLEYS)
    uplift = np.clip(1 + 0.35 * field, 0.15, 2.0).astype(np.float32)
    height = (field - field.min()).astype(np.float32)
    height[outlet] = 0
    for _ in range(_STEPS):
        order = np.argsort(height, axis=None)
        _step(height.ravel(), order, outlet.ravel(), uplift.ravel(), field.shape[1])
        # Screes and landslides round what rivers cut.
        height = ndimage.gaussian_filter(height, 0.4, mode="wrap")
        height[outlet] = 0
    return np.asarray(height, dtype=np.float32)


@nb.njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _step(
    height: Float32s,
    order: npt.NDArray[np.intp],
    outlet: npt.NDArray[np.bool_],
    uplift: Float32s,
    width: int,
) -> None:
    """One step of time, in place; `order` sorts the cells from low to high."""
    count = height.size
    rows = count // width
    towards = np.empty(count, np.int64)
    away = np.ones(count, np.float32)
    area = np.ones(count, np.float32)
    for cell in range(count):
        i, j = cell // width, cell % width
        towards[cell] = cell
        steepest = np.float32(0)
        for down in range(-1, 2):
            for right in range(-1, 2):
                other = (i + down) % rows * width + (j + right) % width
                distance = np.sqrt(np.float32(max(down * down + right * right, 1)))
                slope = (height[cell] - height[other]) / distance
                if slope > steepest:
                    steepest, towards[cell], away[cell] = slope, other, distance
    for k in range(count - 1, -1, -1):
        cell = order[k]
        if towards[cell] != cell:
            area[towards[cell]] += area[cell]
    for k in range(count):
        cell = order[k]
        if outlet[cell]:
            continue
        risen = height[cell] + uplift[cell]
        if towards[cell] == cell:
            height[cell] = risen
            continue
        cut = np.float32(_INCISION) * area[cell] ** np.float32(_AREA_POWER) / away[cell]
        height[cell] = (risen + cut * height[towards[cell]]) / (1 + cut)
