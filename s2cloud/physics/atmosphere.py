"""Coupling of surface, scattering and gases: from surface to top-of-atmosphere and back.

References
----------
Vermote, E. F. et al. (1997): Second simulation of the satellite signal in the solar spectrum, 6S,
doi:10.1109/36.581987.
Tanre, D., Herman, M., Deschamps, P. Y. (1981): Influence of the background contribution upon space
measurements of ground reflectance, doi:10.1364/AO.20.003676.
ISO 2533:1975 / U.S. Standard Atmosphere 1976 for the pressure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from s2cloud.physics.rayleigh import STANDARD_PRESSURE

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from s2cloud.physics.gases import GasTransmittance
    from s2cloud.physics.lut import Optics

    Floats = NDArray[np.float32] | NDArray[np.float64]

__all__ = [
    "Coefficients",
    "coefficients",
    "surface_pressure",
    "surface_reflectance",
    "toa_reflectance",
]

_LAPSE_RATE: Final = 0.0065  # K m-1, standard atmosphere
_SEA_LEVEL_TEMPERATURE: Final = 288.15  # K
_EXPONENT: Final = 5.25588  # g M / (R L)


@dataclass(frozen=True, slots=True)
class Coefficients:
    """All that the atmosphere does to one band, in the form that pixels need.

    With ``y = (toa - path) * gain``, a uniform surface has the reflectance
    ``y / (1 + spherical_albedo * y)``.

    Attributes
    ----------
    path
        Reflectance of the atmosphere, under its gases. [1]
    gain
        One over the two-way transmittance, scattering and gases. [1]
    spherical_albedo
        Reflectance of the atmosphere for light from below. [1]
    diffuse_fraction
        Share of the upward transmittance that was scattered, so that it carries the surroundings
        of a pixel instead of the pixel. [1]
    """

    path: Floats
    gain: Floats
    spherical_albedo: Floats
    diffuse_fraction: Floats

    @property
    def diffuse_to_direct(self) -> Floats:
        """Diffuse over direct upward transmittance, the weight of adjacency. [1]."""
        return self.diffuse_fraction / (1.0 - self.diffuse_fraction)


def coefficients(optics: Optics, gases: GasTransmittance) -> Coefficients:
    """Combine scattering and absorption.

    Parameters
    ----------
    optics
        From `s2cloud.physics.lut.LookUpTable.evaluate`.
    gases
        From `s2cloud.physics.gases.transmittance`, for the same band and geometry.

    Notes
    -----
    The coupling of 6S: ozone and the mixed gases lie above (or throughout) and dim everything;
    water vapour lies below most molecules, so their path light misses it, amid the aerosol, whose
    path light meets half of it, and dims all light from the ground.
    """
    rayleigh = optics.path_reflectance_rayleigh
    aerosol = optics.path_reflectance - rayleigh
    path = gases.other * (rayleigh + aerosol * gases.water_vapour_half)
    two_way = optics.transmittance_down * optics.transmittance_up
    direct_share = optics.transmittance_up_direct / optics.transmittance_up
    return Coefficients(
        path, 1.0 / (two_way * gases.total), optics.spherical_albedo, 1.0 - direct_share
    )


def toa_reflectance(
    surface: ArrayLike, atmosphere: Coefficients, *, environment: ArrayLike | None = None
) -> Floats:
    """Top-of-atmosphere reflectance of a Lambertian surface.

    Parameters
    ----------
    surface
        Surface reflectance. [1]
    atmosphere
        From `coefficients`.
    environment
        Reflectance of the surroundings within about a kilometre; None for a uniform surface. [1]

    Returns
    -------
    ndarray
        [1], broadcast shape

    Examples
    --------
    >>> clear = Coefficients(*map(np.float32, (0.1, 1.25, 0.15, 0.2)))
    >>> round(float(toa_reflectance(0.0, clear)), 3)
    0.1
    """
    pixel = np.asarray(surface)
    a = atmosphere
    around = pixel if environment is None else np.asarray(environment)
    mixed = pixel + a.diffuse_fraction * (around - pixel)
    return np.asarray(a.path + mixed / (a.gain * (1.0 - a.spherical_albedo * around)))


def surface_reflectance(
    toa: ArrayLike, atmosphere: Coefficients, *, environment: ArrayLike | None = None
) -> Floats:
    """Surface reflectance from top-of-atmosphere reflectance; inverse of `toa_reflectance`.

    Parameters
    ----------
    toa
        Top-of-atmosphere reflectance. [1]
    atmosphere
        From `coefficients`.
    environment
        Reflectance of the surroundings, usually a smoothed result of this function without it;
        None for a uniform surface. [1]

    Returns
    -------
    ndarray
        [1], broadcast shape; may be negative where the path reflectance exceeds the signal.
    """
    a = atmosphere
    y = (np.asarray(toa) - a.path) * a.gain
    if environment is None:
        return np.asarray(y / (1.0 + a.spherical_albedo * y))
    around = np.asarray(environment)
    seen = y * (1.0 - a.spherical_albedo * around)
    return np.asarray((seen - a.diffuse_fraction * around) / (1.0 - a.diffuse_fraction))


def surface_pressure(
    elevation: ArrayLike, sea_level_pressure: ArrayLike = STANDARD_PRESSURE
) -> Floats:
    """Surface pressure from elevation and the pressure reduced to mean sea level.

    Parameters
    ----------
    elevation
        Height above mean sea level, -500 to 9000. [m]
    sea_level_pressure
        Pressure at mean sea level. [hPa]

    Returns
    -------
    ndarray
        [hPa], broadcast shape

    Notes
    -----
    Barometric formula of the standard atmosphere, ``p = p0 (1 - L z / T0)^5.2559``. A sea level
    15 K warmer or colder than 288 K moves it by 1.3 % at 2 km.

    Examples
    --------
    >>> round(float(surface_pressure(2000.0)), 1)
    795.0
    """
    height = np.asarray(elevation)
    factor = (1.0 - _LAPSE_RATE / _SEA_LEVEL_TEMPERATURE * height) ** _EXPONENT
    return np.asarray(np.asarray(sea_level_pressure) * factor)
