"""Accuracy on simulated scenes whose truth is known; writes a section of docs/validation.md.

    python benchmarks/simulated.py [--write docs/validation.md] [--jobs 2] [--part third]
        [--scenes DIR] [--scores FILE]

Six kinds of scene, three loads of aerosol, three of water vapour, three heights of the sun, on
either hemisphere. The aerosol of the scenes is a mixture that none of the processor's tables
holds, computed by the solver for the scenes themselves; adjacency, terrain and noise are the
simulator's own. The sun of a scene is set, whatever its date and place.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import xarray as xr
from sections import replace_section

import s2cloud as s2
from s2cloud.simulation.compare import Row, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

KINDS: Final = ("mixed", "vegetation", "desert", "coast", "snow", "mountain")
AOTS: Final = (0.05, 0.20, 0.45)
COLUMNS: Final = (5.0, 20.0, 40.0)
SUNS: Final = (20.0, 45.0, 65.0)
TILES: Final = ("32TQM", "19HDA")
#: Off every table: between the continental and the maritime model, sootier than either.
AEROSOL: Final = "continental:0.5+maritime:0.35+urban:0.15"
BANDS: Final = ("b02", "b03", "b04", "b05", "b06", "b07", "b08", "b8a", "b11", "b12")
TERRAIN: Final = ("conditions/terrain/r20m", "conditions/terrain/r60m")
NEEDED: Final = {"reflectance": 95.0, "aot": 90.0, "wvp": 95.0}


@dataclass(frozen=True)
class Case:
    """One scene."""

    number: int
    kind: str
    aot550: float
    tcwv: float
    sza: float
    size: int

    @property
    def tile(self) -> str:
        """Tile, north and south in turn."""
        return TILES[self.number % len(TILES)]


@dataclass(frozen=True)
class Score:
    """Clear land pixels of one scene inside the bounds, by quantity. [1]."""

    case: Case
    within: dict[str, float]
    bias: dict[str, float]
    count: int


def cases(size: int, part: str) -> list[Case]:
    """The scenes: all combinations, or a part of them in which all values occur alike.

    A ``third`` holds every pair of values of each kind once (54 scenes), ``few`` every value once
    (18 scenes). Scenes of a part come first in the whole, so that it may be stopped.
    """
    grid = list(itertools.product(enumerate(KINDS), range(3), range(3), range(3)))
    every = [
        (
            Case(n, kind, AOTS[a], COLUMNS[w], SUNS[s], size),
            ((a + w + k) % 3 == 0 and w == s, (a + w + s + k) % 3 == 0),
        )
        for n, ((k, kind), a, w, s) in enumerate(grid)
    ]
    few, third = ([case for case, member in every if member[n]] for n in (0, 1))
    if part != "all":
        return few if part == "few" else third
    return [*third, *(case for case, member in every if not member[1])]


def simulated(case: Case, folder: Path) -> tuple[Path, Path]:
    """Product and truth of a scene in a folder, made if they are not there."""
    place = folder / f"{case.number:03d}-{case.kind}-{case.size}"
    if not (place / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        s2.simulate_l1c(
            place,
            size=case.size,
            scene=case.kind,
            tile=case.tile,
            aot550=case.aot550,
            tcwv=case.tcwv,
            aerosol=AEROSOL,
            sza=case.sza,
            seed=case.number,
        )
        (place / "complete").touch()
    (product,), (truth,) = place.glob("*.SAFE"), place.glob("*.truth.zarr")
    return product, truth


def score(case: Case, folder: Path | None, *, only_simulate: bool) -> Score | None:
    """Simulate, process and compare one scene."""
    with tempfile.TemporaryDirectory(prefix="s2cloud-") as temporary:
        product, address = simulated(case, folder or Path(temporary))
        if only_simulate:
            return None
        truth = xr.open_datatree(address, engine="zarr", chunks={})
        # What an elevation model would give; the simulator's own, so without its errors.
        aux = xr.DataTree.from_dict({path: truth[path].to_dataset() for path in TERRAIN})
        rows = compare(s2.process(s2.open_l1c(product), aux), truth)
    within = {"aot": np.nan, "wvp": np.nan}
    bias = dict(within)
    pooled = finest(rows)
    pixels = sum(r.count for r in pooled)
    within["reflectance"] = sum(r.within * r.count for r in pooled) / max(pixels, 1)
    bias["reflectance"] = sum(r.bias * r.count for r in pooled) / max(pixels, 1)
    for row in rows:
        if row.quantity in ("aot", "wvp"):
            within[row.quantity], bias[row.quantity] = row.within, row.bias
        elif row in pooled:
            within[row.quantity] = row.within
    return Score(case, within, bias, pixels)


def finest(rows: Sequence[Row]) -> list[Row]:
    """Rows of the bands at their own resolution."""
    best: dict[str, Row] = {}
    for row in rows:
        known = best.get(row.quantity)
        if row.quantity in BANDS and (known is None or row.resolution < known.resolution):
            best[row.quantity] = row
    return [row for row in best.values() if row.count]


def mean(scores: Iterable[Score], quantity: str) -> float:
    """Share over all pixels of some scenes. [%]."""
    known = [
        (s.within[quantity], s.count) for s in scores
        if np.isfinite(s.within.get(quantity, np.nan)) and s.count
    ]  # fmt: skip
    weight = sum(n for _, n in known)
    return 100.0 * sum(w * n for w, n in known) / weight if weight else float("nan")


def table(scores: Sequence[Score], title: str, key: Callable[[Case], object]) -> list[str]:
    """Shares by one property of the scenes."""
    lines = [
        f"| {title} | scenes | reflectance | AOT | water vapour | AOT bias | water bias |",
        "|---|---|---|---|---|---|---|",
    ]
    for value in dict.fromkeys(key(s.case) for s in scores):
        part = [s for s in scores if key(s.case) == value]
        shares = " | ".join(f"{mean(part, q):.1f} %" for q in NEEDED)
        biases = [float(np.nanmean([s.bias[q] for s in part])) for q in ("aot", "wvp")]
        lines.append(f"| {value} | {len(part)} | {shares} | {biases[0]:+.3f} | {biases[1]:+.2f} |")
    return [*lines, ""]


def report(scores: Sequence[Score], command: str) -> str:
    """The section."""
    bands = " | ".join(f"{mean(scores, band):.1f}" for band in BANDS)
    lines = [
        "## Simulated scenes",
        "",
        (
            f"Written by `{command}` on {datetime.now(tz=UTC):%Y-%m-%d} with s2cloud "
            f"{s2.__version__}; {len(scores)} scenes of {scores[0].case.size / 100:.1f} km."
        ),
        "",
        "Shares of clear land pixels inside `0.05 rho + 0.005` (all of B02 - B12 but B09 and",
        f"B10), `0.1 AOT + 0.03` and `0.1 WV + 2 kg m⁻²`. Aerosol of the scenes: `{AEROSOL}`,",
        "computed by the solver for the scenes. The forecast of CAMS that comes with them gives",
        "an optical thickness of 1.15 AOT + 0.01, and species with 30 % too little soot, 30 % too",
        "much sea salt and 40 % too much dust.",
        "",
        *table(scores, "scene", lambda c: c.kind),
        *table(scores, "AOT", lambda c: c.aot550),
        *table(scores, "water vapour [kg m⁻²]", lambda c: c.tcwv),
        *table(scores, "sun zenith", lambda c: c.sza),
        *table(scores, "tile", lambda c: c.tile),
        *table(scores, "all", lambda _: "all"),
        "By band, %:",
        "",
        "| " + " | ".join(b.upper() for b in BANDS) + " |",
        "|---" * len(BANDS) + "|",
        f"| {bands} |",
        "",
    ]
    worst = sorted(scores, key=lambda s: s.within["reflectance"])[:8]
    lines += [
        "The worst scenes by reflectance:",
        "",
        "| scene | AOT | water | sun | reflectance | AOT | AOT bias |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {s.case.kind} | {s.case.aot550} | {s.case.tcwv:g} | {s.case.sza:g} | "
        f"{100 * s.within['reflectance']:.1f} % | {100 * s.within['aot']:.1f} % | "
        f"{s.bias['aot']:+.3f} |"
        for s in worst
    ]
    return "\n".join(lines)


def kept(file: Path | None, every: Sequence[Case]) -> dict[int, Score]:
    """Scores of an earlier run by the number of the scene, as far as they are asked for."""
    asked = {case.number: case for case in every}
    if file is None or not file.exists():
        return {}
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return {
        row["case"]["number"]: Score(
            asked[row["case"]["number"]],
            **{name: row[name] for name in ("within", "bias", "count")},
        )
        for row in rows
        if row["case"] == asdict(asked.get(row["case"]["number"], every[0]))
    }


def main() -> None:
    """Run the scenes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="page whose section is replaced")
    parser.add_argument("--jobs", type=int, default=2, help="scenes at a time")
    parser.add_argument("--size", type=int, default=1098, help="10 m pixels per side")
    parser.add_argument("--scenes", type=Path, help="folder to keep the scenes in")
    parser.add_argument("--only-simulate", action="store_true", help="stop after the scenes")
    parser.add_argument("--part", choices=("all", "third", "few"), default="all")
    parser.add_argument("--scores", type=Path, help="file that keeps what is done; resumes from it")
    arguments = parser.parse_args()
    every = cases(arguments.size, arguments.part)
    known = kept(arguments.scores, every)
    scores = list(known.values())
    with ProcessPoolExecutor(arguments.jobs) as pool:
        one = partial(score, folder=arguments.scenes, only_simulate=arguments.only_simulate)
        for done in pool.map(one, [case for case in every if case.number not in known]):
            if done is None:
                continue
            scores.append(done)
            if arguments.scores:
                with arguments.scores.open("a") as stream:
                    stream.write(json.dumps(asdict(done)) + "\n")
            shares = ", ".join(f"{q} {100 * done.within[q]:.1f} %" for q in NEEDED)
            print(done.case, shares, f"aot bias {done.bias['aot']:+.3f}", flush=True)
    if arguments.only_simulate:
        return
    part = "" if arguments.part == "all" else f" --part {arguments.part}"
    command = f"python benchmarks/simulated.py --size {arguments.size}{part}"
    text = report(scores, command)
    if arguments.write:
        replace_section(arguments.write, "simulated", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
