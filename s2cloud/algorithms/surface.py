"""Top-of-atmosphere to surface reflectance (local stage) and its environment (scene stage).

With a known environment the coupling of surface and atmosphere is linear in the pixel::

    toa = path + [ direct * boa + diffuse * environment ] / (1 - s * environment) / gain
    boa = toa * slope - intercept        (resampling.linear_by_cells)
    slope = (1 + q) * gain * (1 - s * environment)
    intercept = path * slope + q * environment

where ``q`` is the ratio of diffuse to direct transmittance from surface to sensor (Vermote et al.
1997, doi:10.1109/36.581987; Richter 1998, doi:10.1364/AO.37.004004). Without an environment the
pixel is its own surrounding: ``boa = y / (1 + s y)``, ``y = (toa - path) * gain``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["environment", "linear_terms", "uniform_surface"]


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
    """Mean surface reflectance around each cell, clouds left out.

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
    total = ndimage.uniform_filter(values, size, mode="nearest")
    share = ndimage.uniform_filter(usable.astype(np.float64), size, mode="nearest")
    # Where little is clear the scene mean comes in gently instead of the noise of few cells.
    floor = 0.05
    filled = (total + floor * mean) / (share + floor)
    return filled.astype(np.float32), mean
