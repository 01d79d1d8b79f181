"""Counts, reflectance and radiance.

References
----------
ESA, Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD: the radiometric offset of
processing baseline 04.00 and the quantification value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Float32s = NDArray[np.float32]

__all__ = ["counts_to_reflectance", "radiance", "reflectance_to_counts"]


def counts_to_reflectance(
    counts: NDArray[np.uint16], *, offset: float = 0.0, quantification: float = 10000.0
) -> Float32s:
    """Reflectance from stored counts, zero being no data.

    Parameters
    ----------
    counts
        Stored numbers. [1]
    offset
        Radiometric offset of the product, -1000 from baseline 04.00 on. [1]
    quantification
        Counts of reflectance one. [1]

    Returns
    -------
    ndarray
        ``(counts + offset) / quantification``, NaN where the count is zero. [1], shape of `counts`

    Notes
    -----
    Saturated pixels (65535) are returned as numbers: whether they are of use is for the caller.

    Examples
    --------
    >>> round(float(counts_to_reflectance(np.array([3000], np.uint16), offset=-1000)[0]), 6)
    0.2
    """
    values = np.ascontiguousarray(counts)
    out = np.empty(values.shape, dtype=np.float32)
    scale = np.float32(1.0 / quantification)
    _decode(values.reshape(-1), scale, np.float32(offset / quantification), out.reshape(-1))
    return out


def reflectance_to_counts(
    reflectance: NDArray[np.floating], *, offset: float = 0.0, quantification: float = 10000.0
) -> NDArray[np.uint16]:
    """Stored counts from reflectance; inverse of `counts_to_reflectance`.

    Parameters
    ----------
    reflectance
        Reflectance, NaN for no data. [1]
    offset
        Radiometric offset of the product. [1]
    quantification
        Counts of reflectance one. [1]

    Returns
    -------
    ndarray
        Rounded counts: 0 for no data, at least 1 and at most 65534 for data, because 0 and 65535
        have meanings of their own. [1], shape of `reflectance`
    """
    values = np.ascontiguousarray(reflectance, dtype=np.float32)
    out = np.empty(values.shape, dtype=np.uint16)
    _encode(values.reshape(-1), np.float32(quantification), np.float32(offset), out.reshape(-1))
    return out


def radiance(
    reflectance: ArrayLike, *, irradiance: ArrayLike, sza: ArrayLike, distance: ArrayLike
) -> Float32s | NDArray[np.float64]:
    """Radiance at the sensor from top-of-atmosphere reflectance.

    Parameters
    ----------
    reflectance
        Top-of-atmosphere reflectance. [1]
    irradiance
        Solar irradiance of the band at 1 au, from the product metadata. [W m-2 um-1]
    sza
        Solar zenith angle. [degree]
    distance
        Earth-sun distance. [au]

    Returns
    -------
    ndarray
        [W m-2 sr-1 um-1]
    """
    flux = np.asarray(irradiance) * np.cos(np.deg2rad(sza)) / np.square(distance)
    return np.asarray(np.asarray(reflectance) * flux / np.pi)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _decode(
    counts: NDArray[np.uint16], scale: np.float32, offset: np.float32, out: Float32s
) -> None:
    for i in range(counts.size):
        count = counts[i]
        out[i] = np.nan if count == 0 else np.float32(count) * scale + offset


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _encode(
    values: Float32s, quantification: np.float32, offset: np.float32, out: NDArray[np.uint16]
) -> None:
    for i in range(values.size):
        value = values[i]
        if np.isnan(value):
            out[i] = 0
        else:
            count = np.rint(value * quantification - offset)
            out[i] = np.uint16(min(max(count, 1.0), 65534.0))
