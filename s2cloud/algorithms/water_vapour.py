"""Water vapour column from the absorption band B09 against the window band B8A (local stage).

The surface reflectance found in B8A is carried over to B09, so the signal of B09 gives the two-way
transmittance of the water vapour band, and the transmittance law its slant column (atmospherically
pre-corrected differential absorption, Schlaepfer et al. 1998, doi:10.1016/S0034-4257(98)00023-X).
Between the two bands soils brighten and wet leaves darken; what the neighbouring windows B07, B11
and B12 tell of that is taken into account (`surface_ratio`). Aerosol scattering below 945 nm sees
about half of the column, which takes a few rounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = ["combine", "fill", "retrieve", "surface_ratio"]

#: Darker than this in B09 there is too little signal: water, shadow. Surface reflectance.
DARK_LIMIT: Final = 0.06
#: Each round leaves less than a fifth of the error, and the guess is seldom off by half.
ROUNDS: Final = 4
#: More than this the atmosphere never holds. [kg m-2]
HIGHEST: Final = 80.0
#: Surface reflectance of B09 over B8A: constant, and factors of B07, B11, B12 over B8A. Regression
#: over the odd spectra of the ECOSTRESS library (Meerdink et al. 2019,
#: doi:10.1016/j.rse.2019.05.015); ``python benchmarks/water_vapour.py``.
RATIO: Final = (1.405, -0.490, 0.167, -0.092)
#: No land surface among the spectra lies beyond by much.
RATIO_LIMITS: Final = (0.85, 1.25)
#: One-sigma error of that ratio over the even spectra; without it 0.057.
SURFACE_SPREAD: Final = 0.025
#: One-sigma noise of B09 at the top of the atmosphere. Reflectance.
NOISE: Final = 0.0008


def surface_ratio(b07: Floats, b8a: Floats, b11: Floats, b12: Floats) -> Floats:
    """Surface reflectance of B09 over that of B8A, estimated from the windows around.

    Parameters
    ----------
    b07, b8a, b11, b12
        Surface reflectance, any shape.

    Returns
    -------
    numpy.ndarray
        Ratio within `RATIO_LIMITS`; one where B8A is too dark to tell or has no data.
    """
    constant, k07, k11, k12 = (np.float32(k) for k in RATIO)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = constant + (k07 * b07 + k11 * b11 + k12 * b12) / b8a
        known = np.isfinite(ratio) & (b8a > DARK_LIMIT)
    return np.where(known, np.clip(ratio, *RATIO_LIMITS), 1.0).astype(np.float32)


def retrieve(  # noqa: PLR0913 - the optics of a band have that many terms
    toa_b09: Floats,
    boa_b09: Floats,
    around_b09: Floats,
    *,
    path_rayleigh: Floats,
    path_aerosol: Floats,
    transmittance: Floats,
    spherical_albedo: Floats,
    airmass: Floats,
    diffuse_ratio: Floats,
    first_guess: Floats,
    slant_column: Callable[[Floats], npt.NDArray[Any]],
    transmittance_law: Callable[[Floats], npt.NDArray[Any]],
) -> tuple[Floats, Floats]:
    """Water vapour column of each pixel and its uncertainty.

    Parameters
    ----------
    toa_b09
        Top-of-atmosphere reflectance of B09, shape (y, x).
    boa_b09
        Surface reflectance of B09 expected from B8A and `surface_ratio`.
    around_b09
        The same of its surroundings, whose light reaches B09 as it does B8A.
    path_rayleigh, path_aerosol
        Path reflectance of air and what aerosols add, B09, without water vapour.
    transmittance
        Two-way transmittance of B09, without water vapour.
    spherical_albedo
        Spherical albedo in B09.
    airmass
        Sum of the relative airmasses of the two ways.
    diffuse_ratio
        Diffuse over direct transmittance from surface to sensor in B09.
    first_guess
        Column to begin with. [kg m-2]
    slant_column
        Inverse of the transmittance law: transmittance to slant column. [kg m-2]
    transmittance_law
        Slant column to transmittance.

    Returns
    -------
    tuple
        Vertical column and its one-sigma uncertainty by noise and surface, not by the
        transmittance law.
        [kg m-2], shape (y, x); NaN where the surface is too dark or the signal allows no column
        at all.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mixed = (boa_b09 + diffuse_ratio * around_b09) / (1.0 + diffuse_ratio)
        surface = mixed / (1.0 - spherical_albedo * around_b09) * transmittance
        absorbed: npt.NDArray[Any] = np.ones_like(toa_b09)
        slant: npt.NDArray[Any] = np.broadcast_to(first_guess * airmass, toa_b09.shape)
        for _ in range(ROUNDS):
            absorbed = (
                toa_b09 - path_rayleigh - path_aerosol * transmittance_law(np.float32(0.5) * slant)
            ) / surface
            slant = slant_column(np.clip(absorbed, 1e-3, 1.0).astype(np.float32))
        column = slant / airmass
        usable = (boa_b09 > DARK_LIMIT) & (absorbed > 1e-3) & (absorbed < 1.0)
        usable &= column < HIGHEST
        # Relative change of the column per relative change of the transmittance: large where the
        # band is saturated.
        step = np.float32(1.05)
        change = np.log(absorbed / transmittance_law((slant * step).astype(np.float32)))
        growth = np.log(step) / np.maximum(change, np.float32(1e-6))
        error = np.hypot(np.float32(SURFACE_SPREAD), np.float32(NOISE) / (surface * absorbed))
        sigma = np.where(usable, column * growth * error, np.nan)
        return np.where(usable, column, np.nan).astype(np.float32), sigma.astype(np.float32)


def combine(
    column: Floats, sigma: Floats, prior: float, prior_sigma: float
) -> tuple[Floats, Floats]:
    """Column weighted with what is known of it without looking.

    Parameters
    ----------
    column, sigma
        From `retrieve`. [kg m-2]
    prior, prior_sigma
        Column of the forecast and its one-sigma uncertainty. [kg m-2]

    Returns
    -------
    tuple
        Posterior column and one-sigma uncertainty. [kg m-2]; NaN where they were and where column
        and prior exclude one another (beyond five sigma): unseen cloud, or no land.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        weight = prior_sigma**2 / (prior_sigma**2 + sigma.astype(np.float64) ** 2)
        possible = np.abs(column - prior) < 5.0 * np.hypot(sigma, prior_sigma)
        best = np.where(possible, prior + weight * (column - prior), np.nan)
        error = np.where(possible, np.sqrt(weight) * sigma, np.nan)
    return best.astype(np.float32), error.astype(np.float32)


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
