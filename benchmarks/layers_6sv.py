"""How 6SV's layers make its path reflectance, imitated with the solver of the tables.

    python benchmarks/layers_6sv.py jump BINARY
    python benchmarks/layers_6sv.py imitate RUNS.csv

`jump` raises the target in steps of 250 m below the same haze and prints what 6SV finds: the
molecules above it become fewer by 3 % a step, but its path reflectance falls by 0.0035 in one of
them. `imitate` cuts the atmosphere of each run of `comparison_6sv.py` as 6SV behaves: 30 layers of
equal optical depth, in each the mean of the mixtures at its two bounds, the uppermost bound as high
as `top_km` says. What that adds to the converged path reflectance of the same solver at the centre
of the band is put on top of the tables, and the differences from 6SV are printed before and after.

The program is a black box here: the number of layers and the height of the uppermost bound were
found from what it prints, its differences from the sum of its own parts and where they jump.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from comparison_6sv import PATH_LIMITS, differences, read
from scipy.optimize import brentq
from typing_extensions import override

from s2cloud.model.bands import BANDS
from s2cloud.physics import rayleigh
from s2cloud.physics.aerosols import aerosol_model
from s2cloud.physics.lut_solver import AerosolOptics, Solver, aerosol_optics
from s2cloud.physics.spectral import band_mean, response

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Found = tuple[dict[str, Any], tuple[float, float]]  # a run, its difference before and after

LAYERS: Final = 30  # of 6SV
AIR_KM, HAZE_KM = 8.0, 2.0  # scale heights
#: Below this optical depth above 31.25 km the uppermost bound lies at half of that height.
THIN: Final = 2.05e-4


def top_km(molecules: float) -> float:
    """Height at which the mixture of the uppermost bound is taken. [km]."""
    return 31.25 if molecules * np.exp(-31.25 / AIR_KM) > THIN else 15.625


@dataclass
class Layered(Solver):
    """`Solver` of one wavelength in layers of equal optical depth, linear mixtures within them.

    Attributes
    ----------
    number
        Number of layers.
    """

    number: int = LAYERS

    def molecules_found(self) -> float:
        """Molecular optical depth that these layers amount to. [1]."""
        share = self._shares()
        mean = (share[1:] + share[:-1]) / 2.0
        return float((1.0 - mean).sum() * self.optical_depth()[0] / self.number)

    def _shares(self) -> Floats:
        """Share of the aerosol in the extinction at the bounds, from above. [1]."""
        air, haze = float(self.rayleigh_depth[0]), float(self.aerosol_depth[0])

        def above(z: float) -> float:
            return air * float(np.exp(-z / AIR_KM)) + haze * float(np.exp(-z / HAZE_KM))

        depths = (air + haze) * np.arange(1, self.number) / self.number
        heights = [brentq(lambda z, q=q: above(z) - q, 0.0, 300.0) for q in depths]
        z = np.array([top_km(air), *heights, 0.0])
        local = haze / HAZE_KM * np.exp(-z / HAZE_KM)
        return np.asarray(local / (local + air / AIR_KM * np.exp(-z / AIR_KM)))

    @override
    def _profiles(self, heights: Floats) -> tuple[Floats, Floats, Floats]:
        scale = heights[-1]
        omega = self.optics.single_scattering_albedo if self.optics else np.ones(1)
        bounds = np.linspace(1.0, 0.0, self.number + 1) * scale
        aerosol = np.interp(heights, bounds[::-1], self._shares()[::-1])[:, np.newaxis]
        scattering = aerosol * omega + (1.0 - aerosol)
        extinction = np.full_like(aerosol, self.optical_depth()[0] / scale)
        return extinction, np.minimum(scattering, 1.0 - 1e-9), aerosol * omega / scattering

    @override
    def _extrapolate(self, run: Any) -> Floats:
        return np.asarray(run(self.number))


def excess(row: dict[str, Any], molecules: float, optics: AerosolOptics) -> float:
    """What 6SV's layers add to the path reflectance of a run. [1]."""
    depths = np.array([molecules]), row["aot550"] * optics.extinction
    rays = [(row["vza"], row["raa"])]
    coarse = Layered(*depths, optics).path_reflectance_along(row["sza"], rays)
    exact = Solver(*depths, optics).path_reflectance_along(row["sza"], rays)
    return float((coarse - exact).squeeze())


def imitate(rows: list[dict[str, Any]]) -> None:
    """Differences of path reflectance before and after."""
    fine = np.arange(400.0, 2401.0)
    optics: dict[tuple[str, str], AerosolOptics] = {}
    found: list[Found] = []
    for i, row in enumerate(rows):
        key = row["band"], row["aerosol"]
        nm, relative = response(row["sensor"], row["band"])
        centre = float((nm * relative).sum() / relative.sum())
        if key not in optics:
            optics[key] = aerosol_optics(aerosol_model(row["aerosol"]), np.array([centre]))
        depth = rayleigh.optical_depth(fine, row["pressure"])
        molecules = band_mean(row["sensor"], row["band"], fine, depth)
        before = differences(row)["path_reflectance"]
        found.append((row, (before, before + excess(row, molecules, optics[key]))))
        sys.stderr.write(f"\r{i + 1}/{len(rows)}")
    print("\n| band | AOT < 0.4 | with its layers | AOT 0.4 - 0.8 | with its layers "
          "| over the limit | with its layers |\n" + "|---" * 7 + "|")  # fmt: skip
    for band in (*BANDS, None):
        of_band = [f for f in found if band is None or f[0]["band"] == band]
        cells = []
        for thick in (False, True):
            part = [f for f in of_band if (f[0]["aot550"] >= 0.4) == thick]
            for errors in zip(*(f[1] for f in part), strict=True):
                d = 1e4 * np.array(errors)
                cells.append(f"{np.sqrt((d**2).mean()):.0f} / {np.abs(d).max():.0f}")
        over = [str(_beyond(of_band, which, 1.0)) for which in (0, 1)]
        print(f"| {band.upper() if band else 'all'} | " + " | ".join(cells + over) + " |")
    half = [_beyond(found, which, 0.5) for which in (0, 1)]
    print(f"over half the limit: {half[0]} before, {half[1]} after")


def _beyond(found: list[Found], which: int, share: float) -> int:
    return sum(abs(errors[which]) > share * PATH_LIMITS[row["band"]] for row, errors in found)


def jump(binary: Path) -> None:
    """What 6SV prints for a target that rises below the same haze."""
    optics = aerosol_optics(aerosol_model("maritime"), np.array([860.0]))
    print("| altitude, km | molecules | 6SV | here | here, in layers as 6SV |\n" + "|---" * 5 + "|")
    for altitude in (0.0, 1.0, 2.0, 3.0, 3.25, 3.5, 3.75, 4.0, 5.0, 6.0, 8.0, 12.0):
        deck = (
            f"0\n70 0 12 0.0 7 15\n0\n2\n0\n0.8\n{-altitude}\n-1000\n-1\n0.86\n0\n0\n0\n0.0\n-1\n"
        )
        done = subprocess.run(  # noqa: S603 - the program the user names
            [binary], input=deck, capture_output=True, text=True, check=True
        )
        depths = re.search(r"optical depth total:\s+(\S+)\s+(\S+)", done.stdout)
        path = re.search(r"reflectance I      :\s+\S+\s+\S+\s+(\S+)", done.stdout)
        if depths is None or path is None:
            raise ValueError(done.stdout)
        air, haze = (np.array([float(x)]) for x in depths.groups())
        exact, coarse = (
            float(kind(air, haze, optics).path_reflectance(70.0, [12.0], [0.0]).squeeze())
            for kind in (Solver, Layered)
        )
        print(f"| {altitude:g} | {air[0]:.5f} | {float(path[1]):.4f} | {exact:.4f} "
              f"| {coarse:.4f} |")  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("jump").add_argument("binary", type=Path)
    commands.add_parser("imitate").add_argument("runs", type=Path)
    given = parser.parse_args()
    if given.command == "jump":
        jump(given.binary)
    else:
        imitate(read(given.runs))


if __name__ == "__main__":
    main()
