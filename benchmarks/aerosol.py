"""Aerosol and water vapour of simulated scenes of real spectra in patches.

    python benchmarks/aerosol.py DATA [--draws 40] [--half even] [--kinds 0] [--model continental]

DATA as in `surfaces`. Scenes of 11 km on the 60 m overview: patches of 240 m, 45 % of them
vegetation, spectra drawn at random from the even (or odd) half of two libraries; adjacency over a
square of 2 km; noise. The air is continental or maritime, the retrieval always continental and
without a forecast. The relations were fitted to the odd half. Prints the share of scenes whose
mean optical thickness is right within 0.1 of itself plus 0.03.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from surfaces import Bands, ecostress, part, refcube

from s2cloud.algorithms.geometry import tie_points
from s2cloud.config import ProcessorConfig
from s2cloud.model.bands import BANDS
from s2cloud.model.grid import Grid
from s2cloud.physics import gases, lut
from s2cloud.physics.angles import airmass
from s2cloud.physics.atmosphere import coefficients, toa_reflectance
from s2cloud.processor.meteorology import Meteorology
from s2cloud.processor.optics import SceneInput
from s2cloud.processor.scene import Scene

AOT = (0.02, 0.08, 0.15, 0.25, 0.42)
SZA = (25.0, 45.0, 60.0)
VZA, RAA, PRESSURE = 5.0, 45.0, 1000.0
SIZE, PATCH = 184, 4
NOISE = 0.0008


def libraries(data: Path, half: str) -> dict[str, tuple[Bands, Bands]]:
    """Vegetation and other spectra of each library and of both in equal numbers."""
    split: dict[str, tuple[Bands, Bands]] = {}
    for name, load in (("image spectra", refcube), ("laboratory spectra", ecostress)):
        bands = load(data)
        # The image spectra lack both; B10 sees no ground in moist air.
        bands.setdefault("b09", 0.98 * bands["b8a"] + 0.02 * bands["b11"])
        bands.setdefault("b10", bands["b11"])
        bands = part(bands, slice(0 if half == "even" else 1, None, 2))
        ndvi = (bands["b8a"] - bands["b04"]) / (bands["b8a"] + bands["b04"])
        split[name] = (part(bands, ndvi > 0.5), part(bands, (ndvi <= 0.5) & (bands["b04"] < 0.6)))
    rng = np.random.default_rng(0)
    both = []
    for k in (0, 1):
        count = min(len(pair[k]["b04"]) for pair in split.values())
        picks = [part(p[k], rng.choice(len(p[k]["b04"]), count, False)) for p in split.values()]
        both.append({band: np.concatenate([p[band] for p in picks]) for band in BANDS})
    return {**split, "both": (both[0], both[1])}


def simulate(
    spectra: tuple[Bands, Bands],
    aot550: float,
    sza: float,
    *,
    model: str,
    kinds: int,
    rng: np.random.Generator,
) -> tuple[SceneInput, list[npt.NDArray[np.uint16]]]:
    """Input of the scene stage for one draw."""
    cells = SIZE // PATCH
    green = rng.random((cells, cells)) < 0.45
    picks = []
    for bands in spectra:
        count = len(bands["b04"])
        some = rng.choice(count, min(kinds or count, count), replace=False)
        picks.append(rng.choice(some, (cells, cells)))
    table = lut.load("S2A", model)
    tcwv = float(rng.uniform(8.0, 35.0))
    overview = []
    for band in BANDS:
        patches = np.where(green, *(b[band][p] for b, p in zip(spectra, picks, strict=True)))
        boa = np.kron(patches, np.ones((PATCH, PATCH)))
        optics = table.evaluate(band, sza=sza, vza=VZA, raa=RAA, aot550=aot550, pressure=PRESSURE)
        gas = gases.transmittance(
            "S2A", band, airmass=airmass(sza, VZA), tcwv=tcwv, tco3=320.0, pressure=PRESSURE
        )
        around = ndimage.uniform_filter(boa, 33, mode="nearest")
        toa = toa_reflectance(boa, coefficients(optics, gas), environment=around)
        toa = toa + rng.normal(0.0, NOISE, boa.shape)
        overview.append(np.clip(np.rint((toa + 0.1) * 1e4), 1, 65534).astype(np.uint16))
    x, y = 600000.0 + np.arange(4) * 5000.0, 5100000.0 - np.arange(4) * 5000.0
    sun = np.stack([np.full((4, 4), sza), np.full((4, 4), 150.0)])
    view = np.stack([np.full((4, 4), VZA), np.full((4, 4), 150.0 - RAA)])
    air = Meteorology(0.93 * tcwv, 320.0, 1013.25, float("nan"), 110.0, {"tcwv": "ecmwf"})
    given = SceneInput(
        "S2A",
        Grid("EPSG:32632", 600000.0, 5100000.0, 60.0, SIZE, SIZE),
        tie_points(x, y, sun, view[None, None].repeat(13, 0)),
        dict.fromkeys(BANDS, (1e-4, -0.1)),
        air,
        None,
        ProcessorConfig(),
    )
    return given, overview


def study(spectra: tuple[Bands, Bands], draws: int, **how: Any) -> str:
    """Cells of one line of the table."""
    rng = np.random.default_rng(5)
    found = []
    for draw in range(draws):
        aot550, sza = AOT[draw % len(AOT)], SZA[draw // len(AOT) % len(SZA)]
        scene = Scene.retrieve(*_flat(simulate(spectra, aot550, sza, rng=rng, **how)))
        error = float(scene.aot550.mean()) - aot550
        found.append((aot550, error, abs(error) <= 0.1 * aot550 + 0.03, scene.aerosol.sigma.mean()))
    table = np.array(found, dtype=float)
    bias = " | ".join(f"{table[table[:, 0] == aot, 1].mean():+.3f}" for aot in AOT)
    rms = np.sqrt((table[:, 1] ** 2).mean())
    return f"{100 * table[:, 2].mean():.0f} % | {rms:.3f} | {table[:, 3].mean():.3f} | {bias}"


def _flat(pair: tuple[SceneInput, list[npt.NDArray[np.uint16]]]) -> tuple[Any, ...]:
    return (pair[0], *pair[1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--draws", type=int, default=45, help="scenes of each line")
    parser.add_argument("--half", choices=("even", "odd"), default="even")
    parser.add_argument("--kinds", type=int, default=0, help="spectra of each sort; 0 = all")
    parser.add_argument("--model", nargs="*", default=["continental", "maritime"])
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    head = " | ".join(f"bias at {aot}" for aot in AOT)
    print(f"| spectra | air | within | rms | told sigma | {head} |")
    print("|---" * (5 + len(AOT)) + "|")
    for name, spectra in libraries(arguments.data, arguments.half).items():
        for model in arguments.model:
            told = study(spectra, arguments.draws, model=model, kinds=arguments.kinds)
            print(f"| {name} | {model} | {told} |", flush=True)


if __name__ == "__main__":
    main()
