"""What the visible of vegetation has in common with its infrared: derives and tests the relations.

    python benchmarks/dark_vegetation.py DATA

DATA as in `surfaces`. Fits `s2cloud.algorithms.aerosol.GREEN` to the odd vegetation spectra of two
libraries (median regression, both libraries with equal weight) and prints, for the even spectra
and for two Level-2A scenes that had no part in it, how far the expectation is off: as quantiles of
the optical thickness that it would pass for, at 0.0 of truth. Then the same for `DARK`, as
quantiles of ``red - 0.5 * swir``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from surfaces import SOURCES, Bands, ecostress, part, refcube

from s2cloud.algorithms.aerosol import DARK, GREEN, vegetation
from s2cloud.physics import gases, lut
from s2cloud.physics.angles import airmass
from s2cloud.physics.atmosphere import coefficients, surface_reflectance, toa_reflectance

QUANTILES = (0.05, 0.25, 0.35, 0.5, 0.75, 0.95)
VISIBLE, INFRARED = GREEN.bands[:3], GREEN.bands[3:]


def green(bands: Bands) -> Bands:
    """The vegetation among spectra."""
    return part(bands, vegetation(bands["b05"], bands["b8a"], bands["b12"])[0])


def fit(sources: list[Bands]) -> npt.NDArray[np.float64]:
    """Median regression of the visible sum on the infrared; iteratively reweighted."""
    x = np.concatenate([design(bands) for bands in sources])
    y = np.concatenate([sum(bands[n] for n in VISIBLE) for bands in sources])
    equal = np.concatenate([np.full(len(b["b04"]), 1.0 / len(b["b04"])) for b in sources])
    weight = equal
    for _ in range(200):
        root = np.sqrt(weight)
        k = np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0]
        weight = equal / np.maximum(np.abs(y - x @ k), 1e-4)
    return np.asarray(k)


def design(bands: Bands) -> npt.NDArray[np.float64]:
    """Ones and the infrared bands."""
    return np.stack([np.ones_like(bands["b04"]), *(bands[n] for n in INFRARED)], axis=1)


def sensitivity(bands: Bands) -> float:
    """Change of the relation per optical thickness around 0.15, sun at 35 degrees."""
    total = 0.0
    for name, weight in zip(GREEN.bands, GREEN.weights, strict=True):
        boa = float(np.median(bands[name]))
        true, more = (_air(name, aot) for aot in (0.1, 0.2))
        total += weight * (float(surface_reflectance(toa_reflectance(boa, true), more)) - boa)
    return total / 0.1


def _air(band: str, aot550: float):  # noqa: ANN202 - coefficients of one band
    at = {"sza": 35.0, "vza": 5.0, "raa": 45.0, "aot550": aot550, "pressure": 1013.0}
    optics = lut.load("S2A").evaluate(band, **at)
    gas = gases.transmittance("S2A", band, airmass=airmass(35.0, 5.0), tcwv=20.0, tco3=320.0)
    return coefficients(optics, gas)


def row(name: str, values: npt.NDArray[np.float64]) -> str:
    """Line of a table."""
    told = " | ".join(f"{q:+.3f}" for q in np.quantile(values, QUANTILES))
    return f"| {name} | {len(values)} | {told} |"


def main() -> None:
    """Print coefficients and tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    libraries = [green(part(load(data), slice(1, None, 2))) for load in (refcube, ecostress)]
    k = fit(libraries)
    print("constant,", ", ".join(INFRARED), "of the visible sum:", np.round(k, 3))
    print("in the code:", [round(-v, 3) for v in (GREEN.intercept, *GREEN.weights[3:])])
    head = "| source | pixels | " + " | ".join(f"{100 * q:.0f} %" for q in QUANTILES) + " |"
    print(f"\nGREEN, optical thickness\n{head}")
    chosen = {n: load(data) for n, load in SOURCES.items()}
    for name, bands in chosen.items():
        even = green(part(bands, slice(0, None, 2)))
        off = GREEN.intercept + sum(
            w * even[n] for n, w in zip(GREEN.bands, GREEN.weights, strict=True)
        )
        print(row(name, -off / sensitivity(even)))
    print(f"\nDARK, red - 0.5 swir\n{head}")
    for name, bands in chosen.items():
        dense = part(bands, vegetation(bands["b05"], bands["b8a"], bands["b12"])[1])
        print(row(name, DARK.weights[0] * dense["b04"] + DARK.weights[1] * dense["b12"]))


if __name__ == "__main__":
    main()
