"""Uncertainty of the surface reflectance, propagated from what is not known well.

The correction of a pixel is linear, ``boa = toa * a - b``, and so is what an error of the aerosol,
the vapour or the model adds to it: ``toa * da - db``, with finite differences of ``a`` and ``b``
that vary as slowly as these do. The sum of the squares of all contributions is a parabola in
``toa``, three terms on the cells of the scene::

    sigma ** 2 = p * toa ** 2 + q * toa + r

Contributions are taken as independent of one another (GUM, JCGM 100:2008, 5.1.2).

The noise of the instrument is that of the requirement at a reference radiance, half of it growing
with the signal; the calibration is common to all pixels of a band and so is no noise between them
(Gorroño et al. 2017, doi:10.3390/rs9020178).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

__all__ = ["derivative", "noise", "on_slopes", "parabola", "sigma"]

#: Reference radiance [W m-2 sr-1 um-1] and signal-to-noise ratio required there (Sentinel-2 User
#: Handbook, ESA 2015, table 1; Drusch et al. 2012, doi:10.1016/j.rse.2011.11.026).
REFERENCE: Final = {
    "b01": (129.0, 129.0), "b02": (128.0, 154.0), "b03": (128.0, 168.0), "b04": (108.0, 142.0),
    "b05": (74.5, 117.0), "b06": (68.0, 89.0), "b07": (67.0, 105.0), "b08": (103.0, 174.0),
    "b8a": (52.5, 72.0), "b09": (9.0, 114.0), "b10": (6.0, 50.0), "b11": (4.0, 100.0),
    "b12": (1.5, 100.0),
}  # fmt: skip


def noise(band: str, irradiance: float, sza: float) -> tuple[float, float]:
    """Variance of the top-of-atmosphere reflectance of a pixel by noise.

    Parameters
    ----------
    band
        Name of the band.
    irradiance
        Of the sun in the band. [W m-2 um-1]
    sza
        Zenith of the sun. [degree]

    Returns
    -------
    tuple
        Constant part, and part per unit of reflectance.
    """
    radiance, ratio = REFERENCE[band]
    reflectance = np.pi * radiance / (irradiance * np.cos(np.radians(sza)))
    variance = (reflectance / ratio) ** 2
    return float(variance / 2), float(variance / 2 / reflectance)


def derivative(ends: Iterable[tuple[Floats, Floats]], share: Floats) -> Floats:
    """Change of ``a`` and ``b`` by one sigma.

    Parameters
    ----------
    ends
        ``a`` and ``b`` at a low and at a high value.
    share
        Sigma over the distance of the two values.

    Returns
    -------
    numpy.ndarray
        Shape (2, cell_y, cell_x).
    """
    low, high = ends
    return np.stack([(h - w) * share for w, h in zip(low, high, strict=True)])


def parabola(changes: Iterable[Floats], gain: Floats, noise_terms: tuple[float, float]) -> Floats:
    """Terms ``p``, ``q``, ``r`` of the variance.

    Parameters
    ----------
    changes
        What one sigma of each cause adds to ``a`` and ``b``, shape (2, cell_y, cell_x) each.
    gain
        ``a``.
    noise_terms
        From `noise`.

    Returns
    -------
    numpy.ndarray
        Shape (3, cell_y, cell_x), float32.
    """
    square = gain.astype(np.float64) ** 2
    p, q, r = np.zeros(gain.shape), square * noise_terms[1], square * noise_terms[0]
    for change in changes:
        a, b = change.astype(np.float64)
        p += a * a
        q -= 2 * a * b
        r += b * b
    return np.stack([p, q, r]).astype(np.float32)


@nb.njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def sigma(values: Floats, p: Floats, q: Floats, r: Floats) -> Floats:
    """Uncertainty of pixels on level ground.

    Parameters
    ----------
    values
        Top-of-atmosphere reflectance, NaN for no-data, shape (y, x).
    p, q, r
        `parabola` on the pixels.

    Returns
    -------
    numpy.ndarray
        One sigma, shape (y, x).
    """
    out = np.empty(values.shape, np.float32)
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            toa = values[i, j]
            square = (p[i, j] * toa + q[i, j]) * toa + r[i, j]
            # NaN must pass; rounding may leave a little less than nothing.
            out[i, j] = np.sqrt(np.float32(0.0) if square < 0 else square)
    return out


def on_slopes(level: Floats, boa: Floats, light: Floats, direct: Floats, tilt: float) -> Floats:
    """Uncertainty of pixels on slopes.

    Parameters
    ----------
    level
        Uncertainty on level ground.
    boa
        Surface reflectance on the slope.
    light
        Light that the slope receives over that on level ground.
    direct
        What it changes per unit of the cosine of incidence over that on level ground.
    tilt
        Uncertainty of that ratio of cosines.
    """
    return np.asarray(np.hypot(level, boa * direct * np.float32(tilt)) / light, dtype=np.float32)
