"""How the table of surfaces was made: hyperspectral stand-ins for spectra published in bands.

Development only; the inputs are named in ``data/README.md`` and are not part of the package::

    python -m s2cloud.simulation.spectra refcube.npz library.npz snow.npz NAME=KIND:SOURCE ...

prints the lines of new surfaces, such as ``heath="vegetation:spechomo 2663"``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import nnls

from s2cloud.model.bands import BANDS, SENSORS, band_name
from s2cloud.physics.spectral import response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from s2cloud.model.bands import Sensor

    Floats = npt.NDArray[np.float64]

__all__ = ["band_reflectances", "foam", "stand_in", "water"]

#: Wavelengths of all spectra. [nm]
WAVELENGTH: Final = np.arange(400.0, 2401.0)
#: Weight of the sum of shares in the fit; keeps mixtures from many near-copies of one another.
_RIDGE: Final = 1e-3


def band_reflectances(reflectance: Floats, sensor: Sensor) -> Floats:
    """Reflectance in the 13 bands: averages weighted by the response only.

    Parameters
    ----------
    reflectance
        At `WAVELENGTH`. [1], shape (..., wavelength)
    sensor
        Instrument.

    Returns
    -------
    ndarray
        [1], shape (..., band)
    """
    means = []
    for band in BANDS:
        wavelength, weight = response(sensor, band)
        at = np.interp(WAVELENGTH, wavelength, weight, left=0, right=0)
        means.append(reflectance @ at / at.sum())
    return np.stack(means, axis=-1)


def stand_in(published: Floats, bands: Sequence[str], centres: Floats, library: Floats) -> Floats:
    """Hyperspectral spectrum that has given values in bands of S2A.

    Parameters
    ----------
    published
        Reflectance in the bands. [1], shape (band,)
    bands
        Their names, in ascending wavelength.
    centres
        Their wavelengths. [nm], shape (band,)
    library
        Spectra of materials at `WAVELENGTH`. [1], shape (spectrum, wavelength)

    Returns
    -------
    ndarray
        A non-negative mixture of the library, times the smooth ratio that is left. [1], shape
        (wavelength,)
    """
    index = [BANDS.index(band_name(band)) for band in bands]
    seen = band_reflectances(library, "S2A")[:, index]
    # Relative errors count, so that dark bands fit as well as bright ones.
    system = np.vstack([(seen / published).T, np.full((1, len(library)), _RIDGE)])
    shares, _ = nnls(system, np.append(np.ones(published.size), 0.0))
    mixture = shares @ library
    ratio = published / band_reflectances(mixture, "S2A")[index]
    smooth = PchipInterpolator(centres, ratio)(np.clip(WAVELENGTH, centres[0], centres[-1]))
    return np.asarray(mixture * smooth)


def water(chlorophyll: float, matter: float, dissolved: float) -> Floats:
    """Reflectance of deep water with the skylight that it mirrors.

    Parameters
    ----------
    chlorophyll, matter, dissolved
        Chlorophyll [mg m-3], suspended matter [g m-3], absorption by dissolved matter at 440 nm
        [m-1].

    Returns
    -------
    ndarray
        At `WAVELENGTH`. [1]

    References
    ----------
    Lee, Z. et al. (2002), doi:10.1364/AO.41.005755: reflectance from absorption and backscatter.
    Pope, R. and Fry, E. (1997), doi:10.1364/AO.36.008710: absorption of pure water, here at
    supporting points; beyond 900 nm water is black.
    """
    w = WAVELENGTH
    points = np.array(
        [
            [400, 0.0066], [442, 0.0071], [490, 0.0150], [530, 0.0434], [560, 0.0619],
            [580, 0.0896], [600, 0.2224], [640, 0.3108], [665, 0.4290], [705, 0.7040],
            [740, 2.6], [783, 2.3], [830, 3.1], [865, 4.6], [900, 6.8], [945, 40.0], [1000, 45.0],
            [1100, 60.0], [1250, 100.0], [1400, 1000.0], [2400, 2000.0],
        ]
    )  # fmt: skip
    pure = np.exp(np.interp(w, points[:, 0], np.log(points[:, 1])))
    pigment = 0.04 * chlorophyll**0.65 * (
        np.exp(-(((w - 440) / 45) ** 2)) + 0.5 * np.exp(-(((w - 675) / 14) ** 2)) + 0.12
    ) * (w < 760)  # fmt: skip
    yellow = dissolved * np.exp(-0.015 * (w - 440)) + 0.03 * matter * np.exp(-0.0123 * (w - 440))
    absorption = pure + pigment + yellow
    backscatter = 0.0007 * (550 / w) ** 4.3 + 0.0106 * matter * (550 / w) ** 0.6
    u = backscatter / (absorption + backscatter)
    below = (0.089 + 0.125 * u) * u
    return np.asarray(np.pi * 0.52 * below / (1 - 1.7 * below) + 0.006)


def foam() -> Floats:
    """Reflectance of foam in the surf, at `WAVELENGTH`. [1].

    References
    ----------
    Frouin, R. et al. (1996), doi:10.1029/96JC00629: decrease towards the short-wave infrared.
    """
    relative = ([400, 600, 850, 1020, 1650, 2200], [1.0, 0.98, 0.6, 0.5, 0.15, 0.05])
    return np.asarray(0.42 * np.interp(WAVELENGTH, *relative))


def _rows(spectra: Mapping[str, tuple[str, str, Floats]]) -> list[str]:
    lines = []
    for name, (kind, source, spectrum) in spectra.items():
        for sensor in SENSORS:
            values = ",".join(f"{v:.4f}" for v in band_reflectances(spectrum, sensor))
            lines.append(f"{name},{kind},{source},{sensor},{values}")
    return lines


def _main(arguments: Sequence[str]) -> None:
    cube, ecostress, snow = (np.load(path) for path in arguments[:3])
    names = [str(band) for band in cube["bands"]]
    centres = cube["wavelength_nm"]
    published = cube["reflectance_x10000"].reshape(len(names), -1).T / 1e4
    library = _resampled(ecostress)
    snows = _resampled(snow)
    spectra = {}
    for argument in arguments[3:]:
        name, described = argument.split("=", 1)
        kind, source = described.split(":", 1)
        origin, *values = source.split()
        if origin == "spechomo":
            spectrum = stand_in(published[int(values[0])], names, centres, library)
        elif origin == "ecostress-snow":
            spectrum = snows[int(values[0])]
        elif source == "model foam":
            spectrum = foam()
        else:
            spectrum = water(*(float(v.partition("=")[2]) for v in values))
        spectra[name] = (kind, source, spectrum)
    print("\n".join(_rows(spectra)))  # noqa: T201 -- a command


def _resampled(file: Mapping[str, Floats]) -> Floats:
    """Spectra at `WAVELENGTH`; without those that leave 0 to 1."""
    at, values = file["wavelength_nm"].astype(float), file["reflectance"].astype(float)
    out = np.stack([np.interp(WAVELENGTH, at, row) for row in values])
    return np.asarray(np.clip(out, 0.0, 1.0))


if __name__ == "__main__":
    _main(sys.argv[1:])
