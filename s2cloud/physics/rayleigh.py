"""Molecular scattering: optical depth and phase function of air.

References
----------
Bodhaine, B. A., Wood, N. B., Dutton, E. G., Slusser, J. R. (1999): On Rayleigh optical depth
calculations, J. Atmos. Oceanic Technol. 16, 1854-1861,
doi:10.1175/1520-0426(1999)016<1854:ORODC>2.0.CO;2.
Young, A. T. (1980): Revised depolarization corrections for atmospheric extinction,
doi:10.1364/AO.19.003427.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["DEPOLARISATION", "STANDARD_PRESSURE", "optical_depth"]

STANDARD_PRESSURE: Final = 1013.25  # hPa
DEPOLARISATION: Final = 0.0279  # Young (1980), dry air, as in the comparison code


def optical_depth(
    wavelength_nm: ArrayLike, pressure: ArrayLike = STANDARD_PRESSURE
) -> NDArray[np.float64]:
    """Rayleigh optical depth of the air column above a pressure level.

    Parameters
    ----------
    wavelength_nm
        Wavelength, 250 to 2500. [nm]
    pressure
        Surface pressure. [hPa]

    Returns
    -------
    ndarray
        Vertical optical depth. [1], broadcast shape

    Notes
    -----
    The fit of Bodhaine et al. (1999), equation 30, for 45 degrees latitude, sea level and 360 ppm
    of CO2; in proportion to pressure. Gravity and CO2 move it by less than 0.1 %.

    Examples
    --------
    >>> round(float(optical_depth(550.0)), 3)
    0.097
    """
    square = (np.asarray(wavelength_nm, dtype=np.float64) / 1000.0) ** 2  # um2
    inverse = 1.0 / square
    tau = (
        0.0021520
        * (1.0455996 - 341.29061 * inverse - 0.90230850 * square)
        / (1.0 + 0.0027059889 * inverse - 85.968563 * square)
    )
    return np.asarray(tau * np.asarray(pressure, dtype=np.float64) / STANDARD_PRESSURE)
