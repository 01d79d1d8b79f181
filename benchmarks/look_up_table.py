"""How fast the look-up table is interpolated, and how exactly.

    python benchmarks/look_up_table.py speed
    python benchmarks/look_up_table.py errors [--figure docs/images/physics_lut_error.png]

`speed` measures `LookUpTable.evaluate` on one core as the processor calls it: the 367 x 367 cells
of a tile with everything varying, and a block of pixels with one direction. `errors` compares the
table with direct runs of the solver half way between its nodes in every axis at once (minutes), and
prints the table of docs/physics.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from s2cloud.physics import lut, rayleigh
from s2cloud.physics.aerosols import aerosol_model
from s2cloud.physics.lut_build import WAVELENGTH_SEGMENTS
from s2cloud.physics.lut_solver import Solver, aerosol_optics
from s2cloud.physics.spectral import interpolation_weights

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

BANDS: Final = ("b01", "b02", "b04", "b8a", "b11", "b12")
SZA: Final = (2.5, 12.5, 22.5, 32.5, 42.5, 52.5, 62.5, 67.5, 72.5, 77.5)
AOT: Final = (0.025, 0.075, 0.15, 0.3, 0.5, 0.7, 1.0, 1.4, 1.8)
VZA: Final = (2.5, 7.5, 12.5)
RAA: Final = (7.5, 52.5, 97.5, 142.5, 172.5)
PRESSURE: Final = 900.0
TERMS: Final = ("path", "T_d", "T_u", "s")


def cells(shape: tuple[int, int]) -> dict[str, Floats]:
    """Fields of a tile: sun and view drift, a detector's edge, haze, a mountain."""
    y, x = np.meshgrid(*(np.linspace(0.0, 1.0, n) for n in shape), indexing="ij")
    return {
        "sza": 35.0 + 1.2 * y + 0.4 * x,
        "vza": 2.0 + 9.0 * x,
        "raa": np.where(x + 0.1 * y > 0.5, 60.0, 75.0) + 40.0 * x,
        "aot550": 0.2 + 0.2 * np.sin(5.0 * x) * np.cos(4.0 * y) ** 2,
        "pressure": 1000.0 - 200.0 * np.exp(-20.0 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)),
    }


def best(table: lut.LookUpTable, given: dict[str, Any], repeats: int = 15) -> float:
    """Million evaluations per CPU second; an evaluation is a point, all six terms."""
    size = np.broadcast(*given.values()).size
    table.evaluate("b02", **given)
    spent = []
    for _ in range(repeats):
        start = process_time()
        table.evaluate("b02", **given)
        spent.append(process_time() - start)
    return size / min(spent) / 1e6


def speed() -> None:
    """Print the rates."""
    table = lut.load("S2A")
    tile = cells((367, 367))
    pixels = cells((1830, 1830))
    direction = {"sza": 36.0, "vza": 5.0, "raa": 80.0}
    rng = np.random.default_rng(0)
    shuffled = {name: rng.permutation(v.ravel()) for name, v in tile.items()}
    for name, given in (
        ("cells of a tile, all varying", tile),
        ("the same in random order", shuffled),
        ("cells of a tile, one direction", tile | direction),
        ("block of 1830 x 1830 pixels, all varying", pixels),
        ("block of 1830 x 1830 pixels, one direction", pixels | direction),
    ):
        print(f"{name}: {best(table, given):.1f} million evaluations per CPU second")


def errors(target: Path | None) -> None:
    """Print the table of errors and draw the map."""
    nm = np.concatenate([np.asarray(s, dtype=float) for s in WAVELENGTH_SEGMENTS])
    weights = np.array([interpolation_weights("S2A", b, WAVELENGTH_SEGMENTS) for b in BANDS])
    used = (weights != 0.0).any(axis=0)
    nm, weights = nm[used], weights[:, used]
    optics = aerosol_optics(aerosol_model("continental"), nm)
    table = lut.load("S2A")
    found = np.zeros((len(TERMS), len(BANDS), len(AOT), len(SZA)))
    v, r = (a.ravel() for a in np.meshgrid(VZA, RAA, indexing="ij"))
    for i, aot in enumerate(AOT):
        depth = rayleigh.optical_depth(nm, PRESSURE), aot * optics.extinction
        solver = Solver(*depth, optics)
        sphere = weights @ solver.spherical_albedo()
        up = weights @ np.stack([solver.fluxes(view)[0] for view in VZA], axis=-1)
        for j, sza in enumerate(SZA):
            path = solver.path_reflectance(sza, VZA, RAA).reshape(v.size, nm.size) @ weights.T
            down = weights @ solver.fluxes(sza)[0]
            for k, band in enumerate(BANDS):
                got = table.evaluate(band, sza=sza, vza=v, raa=r, aot550=aot, pressure=PRESSURE)
                at_views = got.transmittance_up.reshape(len(VZA), len(RAA))[:, 0]
                found[:, k, i, j] = (
                    np.abs(got.path_reflectance - path[:, k]).max(),
                    np.abs(got.transmittance_down - down[k]).max(),
                    np.abs(at_views - up[k]).max(),
                    np.abs(got.spherical_albedo - sphere[k]).max(),
                )
    groups = (("10 - 60", 10, 60), ("60 - 70", 60, 70), ("70 - 80", 70, 80))
    sun, haze = np.array(SZA), np.array(AOT)
    print("Largest error, 1e-5, S2A continental, half way between nodes; AOT to 0.8 / to 2\n")
    print("| band | " + " | ".join(f"path, SZA {g[0]}" for g in groups) + " | T_d, SZA 10 - 70 "
          "| T_u | s |\n|---|---|---|---|---|---|---|")  # fmt: skip

    def told(term: int, k: int, low: float, high: float) -> str:
        part = found[term, k][:, (sun > low) & (sun < high)]
        return f"{1e5 * part[haze < 0.8].max():.0f} / {1e5 * part.max():.0f}"

    for k, band in enumerate(BANDS):
        row = [told(0, k, low, high) for _, low, high in groups]
        row += [told(1, k, 10, 70), told(2, k, 0, 80), told(3, k, 0, 80)]
        print(f"| {band.upper()} | " + " | ".join(row) + " |")
    if target is not None:
        figure(target, found[0])


def figure(target: Path, path: Floats) -> None:
    """Map of the error of the path reflectance."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    fig, axes = plt.subplots(
        2, 3, figsize=(9.5, 5.2), layout="constrained", sharex=True, sharey=True
    )
    for k, axis in enumerate(axes.flat):
        image = axis.imshow(
            np.log10(np.maximum(path[k], 1e-6)), origin="lower", vmin=-5.0, vmax=-3.0,
            aspect="auto", cmap="viridis",
        )  # fmt: skip
        axis.set_title(BANDS[k].upper(), fontsize=10)
        axis.set_xticks(range(len(SZA)), [f"{s:g}" for s in SZA], fontsize=7, rotation=60)
        axis.set_yticks(range(len(AOT)), [f"{a:g}" for a in AOT], fontsize=7)
    fig.supxlabel("SZA (degree)", fontsize=10)
    fig.supylabel("AOT at 550 nm", fontsize=10)
    bar = fig.colorbar(image, ax=axes, ticks=[-5, -4, -3], shrink=0.8)
    bar.ax.set_yticklabels(["1e-5", "1e-4", "1e-3"])
    bar.set_label("largest error of the path reflectance")
    fig.savefig(target, dpi=80)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("speed")
    commands.add_parser("errors").add_argument("--figure", type=Path)
    given = parser.parse_args()
    if given.command == "speed":
        speed()
    else:
        errors(given.figure)


if __name__ == "__main__":
    main()
