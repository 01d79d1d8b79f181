"""Slopes, shadows, negative values and uncertainty on simulated scenes; a section of a page.

    python benchmarks/surface.py [--write docs/validation.md] [--size 732]

The scenes carry their own atmosphere, terrain and noise; the processor retrieves its aerosol.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dask
import numpy as np
import numpy.typing as npt
import xarray as xr
from sections import replace_section

import s2cloud as s2
from s2cloud.algorithms import terrain
from s2cloud.config import ProcessorConfig, TerrainConfig, UncertaintyConfig
from s2cloud.processor import process

#: The air above mountains gathers light from farther away than small scenes reach.
MOUNTAIN_SIZE: Final = 1098
#: Cosine of incidence below which a slope is weakly lit, and what is too bright there.
WEAK: Final = 0.35
BANDS: Final = ("b02", "b03", "b04", "b05", "b8a", "b11", "b12")
NODES: Final = ("conditions/terrain/r20m", "conditions/terrain/r60m")


@dataclass(frozen=True)
class Case:
    """One scene."""

    kind: str
    aot550: float
    aerosol: str
    sza: float
    seed: int


CASES: Final = (
    Case("mountain", 0.15, "continental", 20.0, 21),
    Case("mountain", 0.15, "continental", 40.0, 11),
    Case("mountain", 0.25, "continental", 50.0, 22),
    Case("mountain", 0.10, "continental", 58.0, 12),
    Case("mountain", 0.05, "continental", 65.0, 23),
    Case("clear", 0.02, "continental", 35.0, 13),
    Case("clear", 0.08, "maritime", 45.0, 14),
    Case("clear", 0.30, "urban", 30.0, 15),
    Case("clear", 0.60, "continental", 50.0, 19),
    Case("clear", 0.80, "continental", 40.0, 16),
    Case("vegetation", 0.20, "maritime", 55.0, 17),
    Case("vegetation", 0.40, "continental", 35.0, 18),
)


def flat(values: xr.DataArray) -> npt.NDArray[Any]:
    """Plane of a variable."""
    return np.squeeze(np.asarray(values.values))


def surface_of(truth: xr.DataTree, band: str) -> npt.NDArray[Any]:
    """True reflectance at 20 m."""
    path = f"measurements/reflectance/r20m/{band}"
    if band in truth["measurements/reflectance/r20m"]:
        return flat(truth[path])
    fine = flat(truth[path.replace("r20m", "r10m")])
    mean = fine.reshape(fine.shape[0] // 2, 2, fine.shape[1] // 2, 2).mean(axis=(1, 3))
    return np.asarray(mean)


def result(case: Case, folder: Path, size: int) -> dict[str, Any]:
    """Figures of one scene."""
    size = max(size, MOUNTAIN_SIZE) if case.kind == "mountain" else size
    s2.simulate_l1c(
        folder, size=size, scene=case.kind, aot550=case.aot550, aerosol=case.aerosol,
        sza=case.sza, seed=case.seed,
    )  # fmt: skip
    (product,), (address,) = folder.glob("*.SAFE"), folder.glob("*.truth.zarr")
    truth = xr.open_datatree(address, engine="zarr", chunks={})
    aux = xr.DataTree.from_dict({p: truth[p].to_dataset()[["elevation"]] for p in NODES})
    l1c = s2.open_l1c(product)
    options = ProcessorConfig(uncertainty=UncertaintyConfig(enabled=True))
    found = planes(process(l1c, aux, config=options), "quality/uncertainty")
    masks = {n: flat(v) > 0 for n, v in truth["conditions/mask/truth/r20m"].data_vars.items()}
    clear = masks["clear"] & ~masks["snow"] & ~masks["terrain_shadow"]
    out: dict[str, Any] = {"case": case, "within": {}, "negative": {}}
    for band in BANDS:
        boa, sigma = found[band]
        true = surface_of(truth, band)
        seen = clear & np.isfinite(boa) & np.isfinite(true)
        out["within"][band] = float((np.abs(boa - true) <= sigma)[seen].mean())
        out["negative"][band] = float((boa[seen] < -0.005).mean())
    if case.kind == "mountain":
        out |= slopes(l1c, aux, found, truth, masks, case.sza)
    return out


def planes(tree: xr.DataTree, *others: str) -> dict[str, list[npt.NDArray[Any]]]:
    """Surface reflectance and other layers of the bands, in one go: they share the scene stage."""
    folders = ("measurements/reflectance", *others)
    wanted = {b: [tree[f"{f}/r20m/{b}"].data for f in folders] for b in BANDS}
    (found,) = dask.compute(wanted)
    return {band: [np.squeeze(plane) for plane in values] for band, values in found.items()}


def slopes(
    l1c: xr.DataTree,
    aux: xr.DataTree,
    found: dict[str, list[npt.NDArray[Any]]],
    truth: xr.DataTree,
    masks: dict[str, npt.NDArray[np.bool_]],
    sza: float,
) -> dict[str, Any]:
    """Correlation of reflectance with the light on vegetated slopes, and what shadows become."""
    without = ProcessorConfig(terrain=TerrainConfig(enabled=False))
    off = planes(process(l1c, aux, config=without))
    ground = truth[NODES[0]].to_dataset().compute()
    saa = float(l1c["conditions/geometry/sun_angles"].values[1].mean())
    slope, aspect = (flat(ground[n]).astype(np.float32) for n in ("slope", "aspect"))
    cosine = terrain.cos_incidence(slope, aspect, sza, saa)
    red, nir = (surface_of(truth, b) for b in ("b04", "b8a"))
    usable = masks["clear"] & ~masks["snow"] & ~masks["terrain_shadow"]
    usable &= (nir - red) / np.maximum(nir + red, 1e-6) > 0.6
    hidden = masks["cloud"] | masks["shadow"] | masks["cirrus"] | masks["snow"]
    dark = masks["terrain_shadow"] & ~hidden
    names: tuple[str, ...] = ("correlation", "shadow", "bound", "bright")
    out: dict[str, Any] = {name: {} for name in names}
    weak = masks["clear"] & ~masks["snow"] & ~dark & (cosine > 0) & (cosine < WEAK)
    land = masks["clear"] & ~masks["snow"] & ~masks["terrain_shadow"]
    for band in BANDS:
        true = surface_of(truth, band)
        pair = []
        for tree in (off, found):
            boa = tree[band][0]
            seen = usable & np.isfinite(boa)
            pair.append(float(np.corrcoef(boa[seen], cosine[seen])[0, 1]))
        seen = usable & np.isfinite(true)
        own = float(np.corrcoef(true[seen], cosine[seen])[0, 1])
        boa = found[band][0]
        ratio = (boa / true)[dark]
        known = np.isfinite(boa) & np.isfinite(true)
        inside = np.abs(boa - true) <= 0.05 * true + 0.005
        out["bound"][band] = float(inside[land & known].mean())
        bright = boa > 1.3 * true + 0.02
        out["bright"][band] = float(bright[(weak | dark) & known].mean())
        out["correlation"][band] = (*pair, own)
        out["shadow"][band] = np.nanquantile(ratio, [0.5, 0.95]) if dark.any() else (np.nan,) * 2
    return out


def table(results: list[dict[str, Any]]) -> str:
    """Text of the section."""
    lines = [
        "### Surface reflectance: slopes, negative values, uncertainty", "",
        "Made by `benchmarks/surface.py` on simulated scenes, clear land without snow at 20 m.", "",
        "Correlation of reflectance with the cosine of incidence on vegetated slopes, without and",
        "with terrain correction, and that of the truth; share of sunlit land within 0.05 of the",
        "truth and 0.005; share of weakly lit (cosine below 0.35) and shaded slopes brighter than",
        "1.3 times the truth and 0.02; shaded pixels: median and 95 % quantile of reflectance over",
        "truth. Mountains are 11 km wide: of the light that molecules scatter into B02 from beyond",
        "that, mirrored in the simulation, the processor knows nothing.", "",
        "| scene | band | without | with | truth | drop | in bound | too bright | shadow | 95 % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in results:
        for band, (off, on, own) in r.get("correlation", {}).items():
            drop = 100 * (1 - abs(on - own) / abs(off - own))
            inside, bright = 100 * r["bound"][band], 100 * r["bright"][band]
            middle, high = r["shadow"][band]
            lines.append(
                f"| sun {r['case'].sza:.0f} deg | {band} | {off:.2f} | {on:.2f} | {own:.2f} | "
                f"{drop:.0f} % | {inside:.1f} % | {bright:.1f} % | "
                f"{middle:.2f} | {high:.2f} |"
            )
    names = ("within", "negative")
    titles = ("true error within one sigma [%]", "reflectance below -0.005 [%]")
    for name, title in zip(names, titles, strict=True):
        lines += ["", f"Share of pixels: {title}", "", f"| scene | {' | '.join(BANDS)} | all |"]
        lines.append("|---" * (len(BANDS) + 2) + "|")
        grid = np.array([[r[name][b] for b in BANDS] for r in results])
        for r, row in zip(results, grid, strict=True):
            c = r["case"]
            lines.append(cells(f"{c.kind}, {c.aerosol} {c.aot550:.2f}, {c.sza:.0f} deg", row))
        lines.append(cells("all", grid.mean(axis=0)))
    return "\n".join(lines)


def cells(title: str, row: npt.NDArray[Any]) -> str:
    """One line of a table of shares."""
    return f"| {title} | " + " | ".join(f"{100 * v:.1f}" for v in [*row, row.mean()]) + " |"


def main() -> None:
    """Run all scenes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--size", type=int, default=732)
    options = parser.parse_args()
    results = []
    for case in CASES:
        with tempfile.TemporaryDirectory(prefix="s2cloud-") as folder:
            results.append(result(case, Path(folder), options.size))
    text = table(results)
    print(text)
    if options.write:
        replace_section(options.write, "surface", text)


if __name__ == "__main__":
    main()
