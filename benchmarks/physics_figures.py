"""Figures of docs/physics.md that come from the shipped tables alone.

    python benchmarks/physics_figures.py docs/images

Writes `physics_path.png` and `physics_gases.png`. The others are written by
`benchmarks/water_vapour_law.py` and `benchmarks/look_up_table.py`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np

from s2cloud.physics import gases, lut

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS: Final = {
    "b01": "tab:purple", "b02": "tab:blue", "b03": "tab:green", "b04": "tab:red",
    "b05": "tab:orange", "b06": "tab:brown", "b07": "tab:pink", "b08": "tab:cyan",
    "b8a": "tab:olive", "b09": "black", "b10": "tab:gray", "b11": "navy", "b12": "darkgreen",
}  # fmt: skip


def path_reflectance(target: Path) -> None:
    """Path reflectance against the sun, and by aerosol model."""
    sza = np.linspace(0.0, 80.0, 161)
    at = {"vza": 5.0, "raa": 90.0, "pressure": 1013.25}
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained", sharey=True)
    table = lut.load("S2A")
    for band in ("b01", "b02", "b04", "b8a", "b12"):
        for aot, style in ((0.0, ":"), (0.2, "-")):
            optics = table.evaluate(band, sza=sza, aot550=aot, **at)
            left.plot(sza, optics.path_reflectance, style, color=COLOURS[band], lw=1.2,
                      label=band.upper() if aot == 0.2 else None)  # fmt: skip
    left.set(xlabel="SZA (degree)", ylabel="path reflectance", yscale="log", ylim=(1e-4, 0.6))
    left.set_title("continental; AOT 0 dotted, 0.2 full", fontsize=9)
    left.legend(frameon=False, fontsize=8, ncol=5, loc="upper center")
    styles = {"continental": "-", "maritime": "--", "urban": "-.", "desert": ":"}
    for aerosol, style in styles.items():
        for band in ("b01", "b04", "b12"):
            optics = lut.load("S2A", aerosol).evaluate(band, sza=sza, aot550=0.4, **at)
            right.plot(sza, optics.path_reflectance, style, color=COLOURS[band], lw=1.2,
                       label=aerosol if band == "b01" else None)  # fmt: skip
    right.set(xlabel="SZA (degree)")
    right.set_title("AOT 0.4; B01 violet, B04 red, B12 green", fontsize=9)
    right.legend(frameon=False, fontsize=8, loc="lower right")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    fig.savefig(target / "physics_path.png", dpi=75)


def transmittance(target: Path) -> None:
    """Water vapour of all bands, and the other gases against airmass."""
    slant = np.linspace(0.0, 12.0, 121)
    fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    for band in ("b03", "b04", "b05", "b06", "b07", "b08", "b8a", "b11", "b12"):
        water = gases.water_vapour_transmittance("S2A", band, 10.0 * slant)
        left.plot(slant, water, color=COLOURS[band], label=band.upper())
    left.set(xlabel="airmass times column (g cm$^{-2}$)", ylabel="transmittance of water vapour")
    left.set_title("S2A; B09 has a figure of its own, B10 is black", fontsize=9)
    left.legend(frameon=False, fontsize=7, ncol=2)
    mass = np.linspace(2.0, 7.0, 51)
    for band in ("b01", "b02", "b03", "b04", "b05", "b06", "b11", "b12"):
        gas = gases.transmittance("S2A", band, airmass=mass, tcwv=0.0, tco3=344.0)
        right.plot(mass, gas.other, color=COLOURS[band], label=band.upper())
    right.set(xlabel="airmass, both ways", ylabel="transmittance of the other gases")
    right.set_title("S2A; 344 DU of ozone, 1013 hPa", fontsize=9)
    right.legend(frameon=False, fontsize=7, ncol=2)
    for axis in (left, right):
        axis.grid(alpha=0.3)
    fig.savefig(target / "physics_gases.png", dpi=80)


def main() -> None:
    """Draw them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    path_reflectance(folder)
    transmittance(folder)


if __name__ == "__main__":
    main()
