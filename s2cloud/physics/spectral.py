"""Spectral responses of the three instruments and averages over them.

References
----------
ESA, Sentinel-2 Spectral Responses (S2-SRF), COPE-GSEG-EOPG-TN-15-0007, version 4.0 (2024).
Thuillier, G. et al. (2003): The solar spectral irradiance from 200 to 2400 nm,
doi:10.1023/A:1024048429145; the reference behind the irradiances of the product metadata.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from s2cloud.model.bands import BAND_INDEX, SENSORS, band_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from s2cloud.model.bands import Sensor

    Floats = NDArray[np.float64]

__all__ = [
    "band_mean",
    "band_weights",
    "interpolation_weights",
    "provenance",
    "response",
    "solar_irradiance",
]


def response(sensor: Sensor, band: str) -> tuple[Floats, Floats]:
    """Relative spectral response of a band.

    Parameters
    ----------
    sensor
        ``S2A``, ``S2B`` or ``S2C``.
    band
        Band in any usual spelling.

    Returns
    -------
    wavelength_nm, response
        Wavelengths in steps of 1 nm where the response is positive [nm], and response [1].

    Examples
    --------
    >>> wavelength_nm, weight = response("S2A", "B02")
    >>> float(round((wavelength_nm * weight).sum() / weight.sum(), 1))
    492.7
    """
    wavelength_nm, tables = _responses()
    row = tables[sensor][BAND_INDEX[band_name(band)]]
    first, last = np.flatnonzero(row)[[0, -1]]
    return wavelength_nm[first : last + 1], row[first : last + 1]


def solar_irradiance(wavelength_nm: ArrayLike) -> Floats:
    """Extraterrestrial solar irradiance at 1 au, to weight band averages.

    Parameters
    ----------
    wavelength_nm
        Wavelength, 400 to 2397. [nm]

    Returns
    -------
    ndarray
        [W m-2 um-1]

    Notes
    -----
    Thuillier et al. (2003). Averaged with `response` it gives the irradiances of the product
    metadata of all sensors and bands within 6e-5 of themselves, the digits they are given with.
    """
    data = _arrays("solar_thuillier.npz")
    wavelength = np.asarray(wavelength_nm, dtype=np.float64)
    return np.asarray(np.interp(wavelength, data["wavelength_nm"], data["irradiance"]))


@cache
def band_weights(sensor: Sensor, band: str) -> tuple[Floats, Floats]:
    """Normalised weights, response times sun, of a band average.

    Parameters
    ----------
    sensor, band
        Instrument and band.

    Returns
    -------
    wavelength_nm, weight
        [nm] and [1]; the weights sum to one.
    """
    wavelength_nm, relative = response(sensor, band)
    weight = relative * solar_irradiance(wavelength_nm)
    return wavelength_nm, weight / weight.sum()


def band_mean(sensor: Sensor, band: str, wavelength_nm: ArrayLike, values: ArrayLike) -> float:
    """Average of a smooth spectrum over a band.

    Parameters
    ----------
    sensor, band
        Instrument and band.
    wavelength_nm
        Ascending wavelengths of the spectrum, covering the band. [nm]
    values
        The spectrum.
    """
    nm, weight = band_weights(sensor, band)
    return float(weight @ np.interp(nm, np.asarray(wavelength_nm), np.asarray(values)))


def interpolation_weights(sensor: Sensor, band: str, segments: Sequence[Sequence[float]]) -> Floats:
    """Weights on a coarse wavelength grid that give the band average of a smooth spectrum.

    Parameters
    ----------
    sensor, band
        Instrument and band.
    segments
        Separate ascending runs of wavelengths, at least four each; the band lies in one. [nm]

    Returns
    -------
    ndarray
        One weight per wavelength of all segments in sequence, summing to one. [1]

    Notes
    -----
    Local cubic interpolation to 1 nm composed with `band_weights`: linear in the spectrum, so the
    average of a product of sensors and spectra is one matrix product.
    """
    nm, weight = band_weights(sensor, band)
    out: list[Floats] = []
    found = False
    for segment in segments:
        nodes = np.asarray(segment, dtype=np.float64)
        part = np.zeros(nodes.size)
        if not found and nodes[0] <= nm[0] and nm[-1] <= nodes[-1]:
            found = True
            for wavelength, share in zip(nm, weight, strict=True):
                start = int(np.clip(np.searchsorted(nodes, wavelength) - 2, 0, nodes.size - 4))
                part[start : start + 4] += share * _lagrange(nodes[start : start + 4], wavelength)
        out.append(part)
    if not found:
        message = f"no segment covers {sensor} {band}: {nm[0]:.0f} to {nm[-1]:.0f} nm"
        raise ValueError(message)
    return np.concatenate(out)


def provenance() -> dict[str, str]:
    """Where responses and solar spectrum come from, as recorded in the data files."""
    out = {}
    for name in ("srf_v4.npz", "solar_thuillier.npz"):
        path = resources.files("s2cloud.physics") / "data" / name
        with resources.as_file(path) as file, np.load(file, allow_pickle=False) as data:
            out[name] = str(data["provenance"])
    return out


def _lagrange(nodes: Floats, x: float) -> Floats:
    weights = np.ones(nodes.size)
    for i, node in enumerate(nodes):
        for other in np.delete(nodes, i):
            weights[i] *= (x - other) / (node - other)
    return weights


def _responses() -> tuple[Floats, dict[str, Floats]]:
    data = _arrays("srf_v4.npz")
    return data["wavelength_nm"], {sensor: data[sensor] for sensor in SENSORS}


@cache
def _arrays(name: str) -> dict[str, Floats]:
    path = resources.files("s2cloud.physics") / "data" / name
    with resources.as_file(path) as file, np.load(file, allow_pickle=False) as data:
        return {key: data[key].astype(np.float64) for key in data.files if key != "provenance"}
