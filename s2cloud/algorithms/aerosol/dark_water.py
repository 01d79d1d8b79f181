"""Water as a dark target: near and beyond 1.6 um it reflects next to nothing.

What is left there after the correction is the share of coarse particles that the aerosol model has
wrong: fine particles hardly scatter at 1.6 and 2.2 um, sea salt and dust as much as in the visible
(the idea behind the retrieval over the ocean, Tanre et al. 1997, doi:10.1029/96JD03437).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

__all__ = [
    "QUANTILE",
    "WATER_LIMIT",
    "WATER_SURFACE",
    "glint",
    "glint_sigma",
    "looks_like_water",
    "unlikely",
]

#: What sunlit water without glint reflects at 1.6 and 2.2 um, a little from suspended matter and
#: foam (Wang and Shi 2007, doi:10.1364/OE.15.015722, take none at all), and its one-sigma spread in
#: both bands alike and in each apart.
WATER_SURFACE: Final = 0.004
ALIKE, APART = 0.004, 0.002
#: Share of the water pixels that lie below the value taken: waves, shores and weeds only add.
QUANTILE: Final = 0.2
#: Reflectance of B11 at the top of the atmosphere beyond which a pixel is not looked at.
WATER_LIMIT: Final = 0.15
#: More haze than this in B11 nobody looks through. Surface reflectance left by a wrong guess.
DARK: Final = 0.12
#: Tolerance of the tests, and what suspended matter may add in B8A.
TOLERANCE, TURBID = 0.008, 0.03
#: Haze is darker in B12 than in B11 by this, at least.
HAZE_RATIO: Final = 0.85
#: Wind over open water. [m s-1]
WIND: Final = 6.0
#: Fresnel reflectance of water at steep incidence.
FRESNEL: Final = 0.02


def looks_like_water(b8a: Floats, b11: Floats, b12: Floats) -> Mask:
    """Pixels that show nothing but what is left of haze.

    Parameters
    ----------
    b8a, b11, b12
        Surface reflectance of a first guess of the aerosol, any shape.

    Returns
    -------
    numpy.ndarray
        True where the three bands are dark and fall off as haze does: plants would be brighter in
        B8A, soils and roofs in B11 or B12.
    """
    with np.errstate(invalid="ignore"):
        return np.asarray(
            (b11 < DARK)
            & (b11 < b8a + TOLERANCE)
            & (b8a < b11 + TURBID)
            & (b12 < HAZE_RATIO * b11 + 0.5 * TOLERANCE),
            dtype=bool,
        )


def glint(sza: float, vza: float, raa: float, wind: float) -> float:
    """Reflectance of the sun on waves.

    Parameters
    ----------
    sza, vza, raa
        Directions, ``raa = 0`` with the sun behind the sensor. [degree]
    wind
        Speed. [m s-1]

    Notes
    -----
    Cox and Munk (1954), doi:10.1364/JOSA.44.000838, without the direction of the wind.
    """
    s, v, phi = np.radians([sza, vza, 180.0 - raa])
    mu_s, mu_v = np.cos(s), np.cos(v)
    # Half the angle between the sun and the line of sight, and the tilt of the mirroring wave.
    double = mu_s * mu_v - np.sin(s) * np.sin(v) * np.cos(phi)
    half = 0.5 * np.arccos(np.clip(double, -1.0, 1.0))
    tilt = np.clip((mu_s + mu_v) / (2.0 * np.cos(half)), 1e-3, 1.0)
    slope2 = 1.0 / tilt**2 - 1.0
    spread = 0.003 + 0.00512 * wind
    return float(FRESNEL * np.exp(-slope2 / spread) / (4.0 * spread * mu_s * mu_v * tilt**4))


def unlikely(b11: Any, b12: Any, glint_sigma: float) -> Any:
    """How little surface reflectances look like those of water.

    Parameters
    ----------
    b11, b12
        Surface reflectance, any shape.
    glint_sigma
        One sigma of the glint, which may be there or not.

    Returns
    -------
    numpy.ndarray
        Square of the distance in sigma. Glint, foam and mud brighten both bands alike, haze the
        first more: `ALIKE` is common to both bands, `APART` each one's own.
    """
    common = ALIKE**2 + glint_sigma**2
    one, two = (np.asarray(band, dtype=np.float64) - WATER_SURFACE for band in (b11, b12))
    inverse = 1.0 / (APART**2 * (APART**2 + 2.0 * common))
    return inverse * ((APART**2 + common) * (one**2 + two**2) - 2.0 * common * one * two)


def glint_sigma(sza: float, vza: float, raa: float) -> float:
    """One sigma of the glint where the wind is not known: lakes may lie still.

    Parameters
    ----------
    sza, vza, raa
        See `glint`.
    """
    return glint(sza, vza, raa, WIND)
