"""What the spectra of vegetation have in common: derives and tests the canopies of the retrieval.

    python benchmarks/dark_vegetation.py DATA

DATA as in `surfaces`. Prints mean and covariance of the odd vegetation spectra of two libraries
(with equal weight) as `s2cloud.algorithms.aerosol.canopies` holds them. Then, for the even spectra,
for those of the simulator and for two Level-2A scenes that had no part in it, how far off a single
spectrum is: quantiles of the optical thickness at 0.1 of truth, with the sun at 20, 45 and 65
degrees; the scatter that the retrieval expects; and the share that it takes for no vegetation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from surfaces import SOURCES, Bands, ecostress, part, refcube

from s2cloud.algorithms.aerosol import CANOPIES, SPECTRUM, Canopy, leafiness, vegetation
from s2cloud.model.bands import BAND_INDEX
from s2cloud.physics import gases, lut
from s2cloud.physics.angles import airmass
from s2cloud.physics.atmosphere import coefficients, surface_reflectance, toa_reflectance
from s2cloud.simulation.surfaces import surfaces

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
#: Fewer spectra of a library than this tell nothing of a canopy.
LEAST = 20
#: One sigma of each band that no spectrum of a library shows.
UNSEEN = 0.002
AOT, STEP = 0.1, 0.05


def spectra(bands: Bands, canopy: Canopy) -> npt.NDArray[np.float64]:
    """Spectra of a canopy, shape (spectrum, band)."""
    index = leafiness(bands["b8a"], bands["b12"])
    chosen = vegetation(bands["b05"], bands["b8a"], bands["b12"]) & canopy.holds(index)
    return np.stack([bands[name][chosen] for name in SPECTRUM], axis=1).astype(np.float64)


def moments(libraries: list[npt.NDArray[np.float64]]) -> tuple[npt.NDArray[np.float64], ...]:
    """Mean and covariance, each library with the same weight."""
    told = [library for library in libraries if len(library) > LEAST]
    weight = np.concatenate([np.full(len(library), 1.0 / len(library)) for library in told])
    every = np.concatenate(told)
    covariance = np.cov(every.T, aweights=weight) + UNSEEN**2 * np.eye(len(SPECTRUM))
    return np.average(every, axis=0, weights=weight), covariance


def slopes(mean: npt.NDArray[np.float64], sza: float) -> npt.NDArray[np.float64]:
    """Change of the surface reflectance by the optical thickness that is assumed."""
    change = []
    for band, boa in zip(SPECTRUM, mean, strict=True):
        true, more = (_air(band, sza, aot) for aot in (AOT, AOT + STEP))
        wrong = surface_reflectance(toa_reflectance(boa, true), more)
        change.append((float(wrong) - boa) / STEP)
    return np.array(change)


def _air(band: str, sza: float, aot550: float):  # noqa: ANN202 - coefficients of one band
    at = {"sza": sza, "vza": 5.0, "raa": 90.0, "aot550": aot550, "pressure": 1013.0}
    optics = lut.load("S2A").evaluate(band, **at)
    gas = gases.transmittance("S2A", band, airmass=airmass(sza, 5.0), tcwv=20.0, tco3=320.0)
    return coefficients(optics, gas)


def simulator() -> Bands:
    """Vegetation of the simulator."""
    known = surfaces("S2A")
    return {b: known.reflectance[:, k].astype(np.float64) for b, k in BAND_INDEX.items()}


def row(name: str, canopy: Canopy, told: npt.NDArray[np.float64], sza: float) -> str:
    """Line of the table."""
    change = slopes(canopy.mean, sza)
    relation = canopy.relation(change)
    kept = canopy.plausible(told.T.astype(np.float32), change)
    total = relation.intercept + told[kept] @ np.array(relation.weights)
    error = -total / float(np.dot(relation.weights, change))
    cells = " | ".join(f"{q:+.3f}" for q in np.quantile(error, QUANTILES)) if kept.any() else ""
    lost = 100.0 * (1.0 - kept.mean())
    return f"| {name} | {sza:.0f} | {len(told)} | {lost:.0f} % | {relation.scatter:.3f} | {cells} |"


def main() -> None:
    """Print numbers and tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    odd = [part(load(data), slice(1, None, 2)) for load in (refcube, ecostress)]
    upper = np.triu_indices(len(SPECTRUM))
    for canopy in CANOPIES:
        mean, covariance = moments([spectra(bands, canopy) for bands in odd])
        print(f"from {canopy.lowest} on")
        print("mean [1e-4]", np.rint(1e4 * mean).astype(int).tolist())
        print("covariance [1e-7]", np.rint(1e7 * covariance[upper]).astype(int).tolist())
    head = " | ".join(f"{100 * q:.0f} %" for q in QUANTILES)
    sources = {n: part(load(data), slice(0, None, 2)) for n, load in SOURCES.items()}
    for canopy in CANOPIES:
        print(f"\nfrom {canopy.lowest} on\n")
        print(f"| source | sun | spectra | left out | expected | {head} |")
        print("|---" * (5 + len(QUANTILES)) + "|")
        for name, bands in {**sources, "simulator": simulator()}.items():
            told = spectra(bands, canopy)
            if len(told):
                print("\n".join(row(name, canopy, told, sza) for sza in (20.0, 45.0, 65.0)))


if __name__ == "__main__":
    main()
