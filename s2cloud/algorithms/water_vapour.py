"""Water vapour column from the absorption band B09 against the window band B8A (local stage).

The surface reflectance found in B8A is carried over to B09, so the signal of B09 gives the two-way
transmittance of the water vapour band, and the transmittance law its slant column (atmospherically
pre-corrected differential absorption, Schlaepfer et al. 1998, doi:10.1016/S0034-4257(98)00023-X).
Aerosol scattering below 945 nm sees about half of the column, which takes a few rounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["fill", "retrieve"]

#: Darker than this in B8A there is too little signal: water, shadow. Surface reflectance.
DARK_LIMIT = 0.06
#: Each round leaves less than a fifth of the error, and the guess is seldom off by half.
ROUNDS = 4
#: More than this the atmosphere never holds. [kg m-2]
HIGHEST = 80.0


def retrieve(  # noqa: PLR0913 - the optics of a band have that many terms
    toa_b09: Floats,
    boa_b8a: Floats,
    *,
    path_rayleigh: Floats,
    path_aerosol: Floats,
    transmittance: Floats,
    spherical_albedo: Floats,
    airmass: Floats,
    first_guess: Floats,
    slant_column: Callable[[Floats], npt.NDArray[Any]],
    transmittance_law: Callable[[Floats], npt.NDArray[Any]],
) -> Floats:
    """Water vapour column of each pixel.

    Parameters
    ----------
    toa_b09
        Top-of-atmosphere reflectance of B09, shape (y, x).
    boa_b8a
        Surface reflectance of B8A on the same pixels.
    path_rayleigh, path_aerosol
        Path reflectance of air and what aerosols add, B09, without water vapour.
    transmittance
        Two-way transmittance of B09, without water vapour.
    spherical_albedo
        Spherical albedo in B09.
    airmass
        Sum of the relative airmasses of the two ways.
    first_guess
        Column to begin with. [kg m-2]
    slant_column
        Inverse of the transmittance law: transmittance to slant column. [kg m-2]
    transmittance_law
        Slant column to transmittance.

    Returns
    -------
    numpy.ndarray
        Vertical column. [kg m-2], shape (y, x); NaN where the surface is too dark or the signal
        allows no column at all.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        surface = boa_b8a / (1.0 - spherical_albedo * boa_b8a) * transmittance
        absorbed: npt.NDArray[Any] = np.ones_like(toa_b09)
        column: npt.NDArray[Any] = np.broadcast_to(first_guess * airmass, toa_b09.shape)
        for _ in range(ROUNDS):
            absorbed = (
                toa_b09 - path_rayleigh - path_aerosol * transmittance_law(np.float32(0.5) * column)
            ) / surface
            column = slant_column(np.clip(absorbed, 1e-3, 1.0).astype(np.float32))
        column = column / airmass
        usable = (boa_b8a > DARK_LIMIT) & (absorbed > 1e-3) & (absorbed < 1.0)
        usable &= column < HIGHEST
        return np.where(usable, column, np.nan).astype(np.float32)


def fill(column: Floats, clear_land: Mask, sigma: float, prior: float) -> tuple[Floats, float]:
    """Smooth field of the column without gaps from the pixels that can be trusted.

    Parameters
    ----------
    column
        From `retrieve`, on the cells of a scene. [kg m-2], shape (y, x)
    clear_land
        Cells that show clear land.
    sigma
        Standard deviation of the Gaussian that carries values into gaps. [cell]
    prior
        Column where the scene has no clear land. [kg m-2]

    Returns
    -------
    tuple
        Field: the cell's own value where it is trusted, its neighbours' otherwise. [kg m-2], and
        the share of cells that were trusted.
    """
    usable = clear_land & np.isfinite(column)
    share = float(usable.mean()) if usable.size else 0.0
    if not usable.any():
        return np.full(column.shape, prior, np.float32), 0.0
    mean = float(column[usable].mean(dtype=np.float64))
    values = np.where(usable, column, 0.0).astype(np.float64)
    top = ndimage.gaussian_filter(values, sigma, mode="nearest")
    base = ndimage.gaussian_filter(usable.astype(np.float64), sigma, mode="nearest")
    floor = 1e-3
    around = (top + floor * mean) / (base + floor)
    return np.where(usable, column, around).astype(np.float32), share
